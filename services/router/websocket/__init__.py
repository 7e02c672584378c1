"""WebSocket connections up to the 101 response: the HTTP upgrade as a machine, and the URLs that lead here.

Frames are the engine's business (`engine/core/src/ws`). Nothing here waits: time limits and sockets belong to the
listener's loop.
"""
