# SPDX-License-Identifier: GPL-2.0-or-later
# Programs that test running daemons through the client library.

$(eval $(call program,flint-fstest,tests/native/fstest.c))
$(eval $(call program,flint-mapwatch,tests/native/map_watch.c))
$(eval $(call program,flint-leasetest,tests/native/lease_test.c tests/native/lease_mended.c))
$(eval $(call program,flint-modeltest,tests/native/model_test.c))
$(eval $(call program,flint-permittest,tests/native/permit_test.c))
