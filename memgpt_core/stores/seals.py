"""What a vector is filed under, and the seal that tells whether it is still as it was written. Pure."""

import hashlib


def text_hash(text: str) -> str:
    """sha256 of the text's UTF-8, in hex: the key of its vector."""
    return hashlib.sha256(text.encode()).hexdigest()


def seal(model: str, dim: int, hash: str, blob: bytes) -> str:
    """A digest over a stored vector and what it is filed under."""
    return hashlib.blake2b(f"{model}|{dim}|{hash}|".encode() + blob, digest_size=8).hexdigest()
