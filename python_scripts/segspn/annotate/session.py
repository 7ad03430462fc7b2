"""The page of a video, served on this machine until Ctrl-C; a second one shows the first."""

import logging
import signal
import socket
import webbrowser
from contextlib import contextmanager

import waitress

from segspn import signals
from segspn.annotate import assist, guards, open_pages, server
from segspn.annotate.drawings import Drawings
from segspn.annotate.segmenting import Segmenting, shown_command
from segspn.errors import UserError

HOST = "127.0.0.1"
PORT = 8765  # where it is free
THREADS = 6


def serve(data, video, frame=None, port=None, browser=True, tell=print):
    """Serves the page of a video in a data set (davis.Davis) until an interrupt.

    frame: the name of the one to open at; port: None for PORT, or another that is free; browser:
    whether to open one; tell: is given lines for the user.  Where the page is open already, its
    address is told, and no more.  Raises UserError.
    """
    drawings = Drawings(data, video)
    if frame is not None:
        drawings.frame(frame)
    with open_pages.opened(data.root, video) as note_address:
        if note_address is None:
            address = open_pages.address_of(data.root, video)
            if not address:
                raise UserError(f"the page of {video} is just being opened or closed; try again")
            show(data, video, open_pages.at_frame(address, frame), "is open already", browser, tell)
            return
        with ended_by_signals(), served(drawings, port) as (server_here, address):
            note_address(address)
            show(data, video, open_pages.at_frame(address, frame), "is open", browser, tell)
            tell("Ctrl-C ends it; all that is drawn is saved at once")
            server_here.run()  # to a KeyboardInterrupt, which it takes
    tell(f"\nnext: {shown_command(drawings)}")


def show(data, video, address, what, browser, tell):
    tell(f"{video} {what}: {address}")
    if browser:
        webbrowser.open(open_pages.leading_to(data.root, video, address))


def bound(port):
    """A socket that listens, on this machine alone.  Raises UserError where it is taken."""
    for number in [port] if port else [PORT, 0]:
        listening = socket.socket()
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((HOST, number))
            listening.listen()
            return listening
        except OSError as error:
            listening.close()
            if number == port:
                raise UserError(f"port {port} cannot be had ({error.strerror}); give another "
                                "--port, or none") from error
    raise UserError(f"no port of {HOST} is free")


@contextmanager
def served(drawings, port):
    """(waitress's server, which listens, the page's address); ends what the page has started."""
    logging.getLogger("waitress").setLevel(logging.ERROR)
    token, listening = guards.new_token(), bound(port)
    number = listening.getsockname()[1]
    segmenting, snapper = Segmenting(drawings), assist.Snapper()
    app = server.create(drawings, segmenting, snapper, token, number)
    serving = waitress.create_server(
        app, sockets=[listening], threads=THREADS, ident=None,
        max_request_body_size=app.config["MAX_CONTENT_LENGTH"])
    try:
        yield serving, f"http://{HOST}:{number}/?token={token}"
    finally:
        serving.close()
        segmenting.close()
        snapper.close()


@contextmanager
def ended_by_signals():
    """While it is entered, signals that ask for an end are interrupts, which end it quietly.

    What this process was told to ignore (nohup, a shell's background) stays ignored.
    """
    earlier = {number: signal.signal(number, signal.default_int_handler)
               for number in signals.END if signal.getsignal(number) != signal.SIG_IGN}
    try:
        yield
    except KeyboardInterrupt:
        pass
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)
