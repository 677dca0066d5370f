"""What tests share: real material, corpora, servers."""
