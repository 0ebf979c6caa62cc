"""LocalStack's twisted server, bound to the hosts of ``GATEWAY_LISTEN``.

LocalStack 4.14 gives its twisted server the host of every ``GATEWAY_LISTEN`` entry, and the server
uses it only for IPv6: with ``127.0.0.1:4566`` it listens on 0.0.0.0. On a laptop this opens the
emulated account to the network. The other server, hypercorn, listens on the right host and is a
third slower.

This server also ends LocalStack where LocalStack does not end by itself. Threads of some services
continue after everything has stopped, for seconds or for ever: SQS's queue worker, and CloudWatch's
scheduler if a request loads that service during the shutdown.
"""

import atexit
import functools
import os
import threading
from typing import Any

from localstack.aws.serving.twisted import TLSMultiplexer, TLSMultiplexerFactory
from localstack.runtime.server.twisted import TwistedRuntimeServer
from localstack.utils.aws import aws_stack
from rolo.serving.twisted import TwistedGateway
from twisted.internet import endpoints, reactor, ssl
from twisted.internet.error import CannotListenError
from twisted.web import http

# For requests in progress when the services are stopped already.
REQUESTS_GRACE_SECONDS = 5.0
# For removing temporary files, when nothing is served any more.
CLEANUP_GRACE_SECONDS = 1.0


# Twisted parses the header as that of an e-mail, for each request anew: a tenth of its time.
http._parseContentType = functools.lru_cache(maxsize=128)(http._parseContentType)


class _Multiplexer(TLSMultiplexer):
    """LocalStack's connection, which says itself whether it is encrypted."""

    def isSecure(self) -> bool:
        """Return it at once; otherwise Twisted looks for an adapter, twice for each request."""
        return bool(self._isTLS)


class _MultiplexerFactory(TLSMultiplexerFactory):
    protocol = _Multiplexer


class BoundTwistedRuntimeServer(TwistedRuntimeServer):
    """The twisted server, which listens only on the addresses of ``GATEWAY_LISTEN``."""

    def register(
        self, gateway: Any, listen: list[Any], ssl_creds: tuple[str, str] | None = None
    ) -> None:
        """Listen for `gateway` on every host and port of `listen`.

        Raises OSError when an address cannot be listened on (in use, or not of this machine). The
        stock server drops that error and LocalStack waits in vain for itself.
        """
        # LocalStack asks DNS whether "s3." before its own host name resolves. With an address for a
        # name that no DNS server can resolve, and with a slow or absent one the first
        # upload hangs on it. So the result is always "no": S3 by path, on localhost.
        aws_stack.CACHE_S3_HOSTNAME_DNS_STATUS = False

        protocol_factory: Any = TwistedGateway(gateway)
        if ssl_creds:
            certificate_path, key_path = ssl_creds
            context_factory = ssl.DefaultOpenSSLContextFactory(key_path, certificate_path)
            context_factory.getContext().use_certificate_chain_file(certificate_path)
            protocol_factory = _MultiplexerFactory(context_factory, False, protocol_factory)

        for address in listen:
            is_ipv6 = ":" in address.host
            endpoint_type = (
                endpoints.TCP6ServerEndpoint if is_ipv6 else endpoints.TCP4ServerEndpoint
            )
            endpoint = endpoint_type(reactor, address.port, interface=address.host)
            failures: list[Any] = []
            # listen() has bound, or failed, when it returns: the deferred fires at once.
            endpoint.listen(protocol_factory).addErrback(failures.append)
            if failures:
                failures[0].trap(CannotListenError)
                raise OSError(
                    f"LocalStack cannot listen on {address.host}:{address.port}: "
                    f"{failures[0].value.socketError}"
                )

    def run(self) -> None:
        """Serve until `shutdown`; the process ends soon after that."""
        super().run()
        _end_process_after(CLEANUP_GRACE_SECONDS)
        # Python would take apart all that LocalStack loaded: four seconds of CPU for nothing
        atexit.register(os._exit, 0)

    def shutdown(self) -> None:
        """Stop serving; the process ends soon after that, even if there is work in progress."""
        _end_process_after(REQUESTS_GRACE_SECONDS)
        super().shutdown()


def _end_process_after(seconds: float) -> None:
    last_resort = threading.Timer(seconds, os._exit, args=[0])
    last_resort.daemon = True
    last_resort.start()
