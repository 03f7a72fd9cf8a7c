"""gevent in a test process: its hub must go, or other tests find themselves in one."""

import gevent


def end():
    """End this thread's hub; what is closed within it may need one more round of its loop."""
    hub = gevent.get_hub()
    gevent.sleep(0)
    hub.destroy(destroy_loop=True)
