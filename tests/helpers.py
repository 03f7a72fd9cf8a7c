"""Decorators that tests put on victims."""

import functools


def noting(log, mark):
    """The most naive decorator there is: a closure that notes each call, and passes it on."""

    def decorate(wrapped):
        @functools.wraps(wrapped)
        def wrapper(*args, **kwargs):
            log.append(mark)
            return wrapped(*args, **kwargs)

        return wrapper

    return decorate


def pass_through(wrapped):
    @functools.wraps(wrapped)
    def wrapper(*args, **kwargs):
        return wrapped(*args, **kwargs)

    return wrapper


def spaces(*owners):
    """The namespaces of owners, to compare what was with what is; order does not count."""
    return [dict(vars(owner)) for owner in owners]
