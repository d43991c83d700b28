"""``run``: a command, started beside a proxy of its own that keeps the key from it.

=============  ======================================================================
`recognition`  which tool a command line starts, and where its arguments begin (pure)
`environment`  what becomes of the environment (pure)
`plan`         command line, environment and temporary files together (pure)
`dry_run`      the plan as text, without a secret (pure)
`folder`       the temporary folder, which goes with the process
`door`         the proxy in a thread, which takes nothing but the token
`child`        the process: signals, terminal, exit status
`command`      all of it, in order
=============  ======================================================================
"""
