"""Where private keys come from: the environment, files beside the store, a command that signs."""
