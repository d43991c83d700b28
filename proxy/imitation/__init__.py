"""An imitation of OpenRouter's API, for the demo, the command ``imitation`` and the tests: no key, no cost, no network.

It speaks as the real one does on the wire (see https://openrouter.ai/docs): comments and white space while the model
works, events one by one, errors before and after the first token, gzip, generation ids, Cloudflare's headers. And it
remembers each request as the bytes that arrived: `Imitation.exchanges`.

=========================  ==========================================================================
Path below ``/api/v1``     Answers
=========================  ==========================================================================
``/chat/completions``      JSON or events, with a tool call if tools are offered (to ``imitation/`` models)
``/messages``              the same in Anthropic's format (``/messages/count_tokens``: 404, as there)
``/responses``             the same in the format of OpenAI's Responses
``/embeddings``            8 numbers for each input
``/audio/speech``          all 256 byte values, again and again, in pieces
``/audio/transcriptions``  size and SHA-256 of the audio that arrived
``/files``                 an upload, with its SHA-256; ``/files/{id}/content`` gives it back
``/models``                the scenes below (needs no key)
``/generation?id=``        to which app a generation was credited; 404 until the record is old enough
``/key`` ``/credits``      about the key
=========================  ==========================================================================

Any key that begins with ``sk-or-`` will do. A model of another author than ``imitation/`` gets the greeting;
these model slugs play a scene:

==================================  =================================================================
``imitation/hello``                 a greeting
``imitation/credit``                says which app the request is credited to
``imitation/slow-json``             white space comes long before the JSON does
``imitation/silent``                takes the request and never answers
``imitation/silent-stream``         answers by half, then nothing more comes
``imitation/lingering``             says everything, then keeps the connection open
``imitation/cut``                   answers by half, then drops the connection
``imitation/error-mid-stream``      fails after half of the events (502 if not streamed)
``imitation/error-<status>``        400 401 402 403 404 408 413 429 500 502 503 529 before the first token
``imitation/error-429-upstream``    429 of a provider: no X-RateLimit-*, no Retry-After
``imitation/page``                  403 with a page of the CDN's instead of JSON
``imitation/record-late``           ``/generation`` does not know it the first three times
``imitation/record-never``          ``/generation`` never knows it
``imitation/record-other-app``      it is credited to another app
``imitation/record-nobody``         it is credited to no app
``imitation/record-busy``           429 with Retry-After when its record is first asked for
``imitation/record-page``           a page of the CDN's when its record is first asked for
``imitation/record-slow``           no answer when its record is first asked for
``imitation/record-refused``        401 when its record is asked for
==================================  =================================================================

Modules: `app` (paths), `endpoints` (what they answer), `scenes` (what is played), `turn` (what the model says), `chat`,
`messages` and `responses` (its formats), `reply` (onto the wire), `exchange` and `serving` (what arrived), `ledger`
(whom it is credited to).
"""

from proxy.imitation.app import Imitation, create_imitation
from proxy.imitation.exchange import Exchange, Head
from proxy.imitation.serving import serving, serving_on

__all__ = ["Exchange", "Head", "Imitation", "create_imitation", "serving", "serving_on"]
