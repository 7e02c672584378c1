"""The monitor role: the monitoring port of a node, over HTTP. It owns no data and asks the router for everything."""
