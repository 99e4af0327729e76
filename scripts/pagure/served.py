"""Pagure as gunicorn serves it. Its Debian package writes some of git's headers as Python shows
bytes, b'...', which no git client understands."""
from pagure.flask_app import create_app

pagure = create_app()


def plain(value):
    return value[2:-1] if value.startswith(("b'", 'b"')) else value


def application(environ, start_response):
    def start(status, headers, error=None):
        return start_response(status, [(name, plain(value)) for name, value in headers], error)

    return pagure(environ, start)
