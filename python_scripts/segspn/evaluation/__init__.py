"""J and F as DAVIS 2017 has them."""
