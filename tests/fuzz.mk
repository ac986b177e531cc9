# SPDX-License-Identifier: GPL-2.0-or-later
# The fuzzers' kept corpora are made from the protocol's own headers.

fuzz-seeds:
	@mkdir -p $(B) tests/fuzz/corpus
	@$(CC) $(ALL_CFLAGS) -o $(B)/fuzz-seeds tests/fuzz/seeds.c -lisal
	@$(B)/fuzz-seeds tests/fuzz/corpus

.PHONY: fuzz-seeds
