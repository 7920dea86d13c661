"""nimble-watch runs deployment phases unharmed, watches the cluster meanwhile, says what is wrong and what it costs.

A guided tour, in the order in which a run passes through the rooms:

- `cli` reads the command line and wires everybody to everybody; `launcher` starts the child at once, owns its signals,
  output and exit status, and imports nothing heavy, so that nothing of ours can delay or harm it.
- `observer` is the second process: it takes signals from one inbox in one loop.  `signals` says what they are;
  `cluster` brings them from the Kubernetes API (as the structs of `objects`), the launcher those of the phase.
- `state` keeps what is known now; each file in `rules` recognises one kind of obstacle in it and yields `findings`;
  `scope` tells what the phase is responsible for; `obstacles` follows findings through time and finds root causes.
- `session` holds what is kept: phases, obstacles, delay, dollars (`metering`, from `prices`); `store` writes it so that
  nothing is lost; `reports` shows it; `console` is the only one who writes to the terminal while a child runs.
- `shared` carries ended sessions to a store that a team has in common (a folder, a bucket), and theirs back to `store`.
- `exports` hands sessions to other programs, `imports` takes those of others in; `dataset` keeps a large history as
  Parquet (`columns` is its schema) and answers questions to it.
- `oci_principals` says who asks OCI; each edge whose name begins with `oci_` asks it for one kind of thing.
- `cleaning` is the door through which every outside text passes; `system` is what the operating system offers.

Imports point down only: cli > launcher | observer | dataset | imports > shared > edges (cluster, oci_*, store,
recording, console, procs, config; log and retry below them) > runner | claim > exports > rules | reports | metering |
columns > session > obstacles > scope > findings > state | prices > signals > objects > cleaning | extras > errors |
system.
import-linter holds it.
"""

__version__ = "0.1.0"
