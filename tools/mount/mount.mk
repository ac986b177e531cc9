# SPDX-License-Identifier: GPL-2.0-or-later
# mount.flintfs, the mount helper that mount(8) runs for "-t flintfs".

$(eval $(call program,mount.flintfs,tools/mount/mount.c tools/mount/options.c tools/mount/prepare.c,))
TEST_SRCS_mgr_mount := tools/mount/options.c
