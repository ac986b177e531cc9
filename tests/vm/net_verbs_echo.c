// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The tests of tests/unit/net_echo_test.c, as a program for the guest, where
 * FLINT_TEST_RDMA names the address of a software RDMA device.
 */
#include "../unit/net_echo_test.c"
