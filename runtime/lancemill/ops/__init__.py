"""Operations on record batches, one module each, named as in the manifest."""
