"""The read side for operations: what is going on, kept from the services' events alone, over HTTP and as pages.

It decides nothing: every button and every POST sends a command to a service and waits for what that service says. Start with
`projections/` (what is kept, each file by the question that it answers), then `api/` (what can be asked), then `pages/`.
"""
