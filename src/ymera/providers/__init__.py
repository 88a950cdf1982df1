"""How models are asked: the transport, hosts as rows, the embedded model."""
