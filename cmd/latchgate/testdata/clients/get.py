"""Get a URL with the named library and print all that came back.

Nothing here speaks of a proxy, a certificate or a credential: what makes it
work is the environment. (aiohttp reads it only when trust_env is set.)
"""
import asyncio
import sys


def urllib(url):
    import urllib.request
    with urllib.request.urlopen(url, timeout=20) as answer:
        return answer.headers, answer.read().decode()


def requests(url):
    import requests as library
    answer = library.get(url, timeout=20)
    answer.raise_for_status()
    return answer.headers, answer.text


def httpx(url):
    import httpx as library
    answer = library.get(url, timeout=20)
    answer.raise_for_status()
    return answer.headers, answer.text


def aiohttp(url):
    import aiohttp as library

    async def get():
        async with library.ClientSession(trust_env=True) as session:
            async with session.get(url, raise_for_status=True) as answer:
                return answer.headers, await answer.text()
    return asyncio.run(get())


def grpc(url):
    import grpc as library
    host, service = url.removeprefix("https://").split("/", 1)
    with library.secure_channel(host, library.ssl_channel_credentials()) as channel:
        answer, call = channel.unary_unary(f"/{service}/Say").with_call(b"\n\x05hello", timeout=20)
        return [*call.initial_metadata(), *call.trailing_metadata()], answer.decode()


def websocket(url):
    import websocket as library
    connection = library.create_connection(url.replace("https:", "wss:"), timeout=20)
    connection.send("hello")
    heard = [connection.recv(), connection.recv()]
    connection.close()
    return {}, heard


def aiohttp_websocket(url):
    import aiohttp as library

    async def exchange():
        async with library.ClientSession(trust_env=True) as session:
            async with session.ws_connect(url) as connection:
                await connection.send_str("hello")
                return {}, [await connection.receive_str(), await connection.receive_str()]
    return asyncio.run(exchange())


print(*globals()[sys.argv[1]](sys.argv[2]))
