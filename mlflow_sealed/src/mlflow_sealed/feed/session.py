"""An HTTP session with an index: its login in UTF-8, its CA bundle, its proxy."""

import os
from typing import Final

import requests
from requests.auth import HTTPBasicAuth

from mlflow_sealed.feed.connection import is_local
from mlflow_sealed.feed.credential import Index

_BUNDLES: Final = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


def open_session(index: Index) -> requests.Session:
    """Return a session with the login of `index`, which reaches it as pip and uv do.

    The login is sent in UTF-8, as uv does (RFC 7617). Nothing comes from ~/.netrc: what that has
    for the index is in its login already. An index on this machine is reached without a proxy.
    """
    session = requests.Session()
    session.auth = HTTPBasicAuth(index.username.encode(), index.password.encode())
    # With it requests would prefer REQUESTS_CA_BUNDLE to the `verify` of a session.
    session.trust_env = False
    if not is_local(index.url):
        proxy = index.connection.proxy
        usual = requests.utils.get_environ_proxies(index.url)
        session.proxies = usual or ({"http": proxy, "https": proxy} if proxy else {})
    if index.connection.trusts(index.url):
        session.verify = False
    else:
        bundles = (index.connection.cert, *map(os.environ.get, _BUNDLES))
        session.verify = next((each for each in bundles if each), True)
    return session
