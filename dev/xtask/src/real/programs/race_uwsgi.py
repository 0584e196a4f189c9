"""Applies requests and says so; everything else is as uWSGI ships it."""

import os

import uwsgi

LEDGER = os.open(os.environ["RACE_LEDGER"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)


def chunks():
    while chunk := uwsgi.chunked_read():
        yield chunk


def app(environ, start_response):
    if environ.get("HTTP_TRANSFER_ENCODING") == "chunked":
        size = sum(map(len, chunks()))
    else:
        size = len(environ["wsgi.input"].read())
    race_id = environ.get("HTTP_X_RACE_ID", "")
    os.write(LEDGER, f"{race_id} 200\n".encode())
    body = f"{race_id} {size}\n".encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
