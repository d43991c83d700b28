"""A local reverse proxy that stamps OpenRouter attribution headers on every request.

The rooms, from the door inwards: `cli` and `commands`; `app`, which puts the application together; `forward`, the
relay; `middleware`, what happens to a request and to an answer's head; `server` and `upstream`, the two sides of the
network; `settings`; `openrouter`, what OpenRouter is; `observe`, what is known about each request. Modules beside them
import nothing above them. `imitation` is a house beside this one: OpenRouter, for the demo and the tests.
"""

__version__ = "0.1.0"
