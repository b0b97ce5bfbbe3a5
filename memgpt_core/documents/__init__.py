"""Cold storage's documents: from a file to its text, its passages and its outline."""
