"""The apps that are measured. Each runs in an environment of its own, of this build, of another one or of a peer, as
`python -m apps.<name>` from the folder above: nothing here imports anything else of the tests."""
