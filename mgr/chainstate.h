/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The state machine of a chain: from the public states of its targets and what
 * is known of their servers to the next chain. See chainstate.c.
 */
#ifndef FLINT_MGR_CHAINSTATE_H
#define FLINT_MGR_CHAINSTATE_H

#include "../uapi/flintfs/map.h"

/* What is known of a target's server; chainrows.h explains. */
enum mgr_live {
	MGR_LIVE_DOWN		= 0,
	MGR_LIVE_FAILED		= 1,
	MGR_LIVE_SILENT		= 2,
	MGR_LIVE_HEARD		= 3,
	MGR_LIVE_RESTARTED	= 4,
	MGR_LIVE_NR
};

/* What holds for the chain of a member; chainrows.h explains. */
enum mgr_chain_holds {
	MGR_CHAIN_WAIT		= 0,
	MGR_CHAIN_GOES		= 1,
	MGR_CHAIN_LAST		= 2,
	MGR_CHAIN_CHOSEN	= 3,
	MGR_CHAIN_SYNCED	= 4,
	MGR_CHAIN_TURN		= 5,
	MGR_CHAIN_NR
};

/* What operators, or the managers themselves, want of a target. */
enum mgr_wish {
	MGR_WISH_NONE		= 0,
	MGR_WISH_OFF		= 1,	/* stay out of the chain's work */
	MGR_WISH_DROP		= 2,	/* leave the chain for good */
	MGR_WISH_DEAF		= 3,	/* the managers': stay out for a while, it cannot be reached */
};

/**
 * struct mgr_member - a target in its chain
 * @target: id, not looked at
 * @state: enum flint_target_state, now and next
 * @live: enum mgr_live
 * @ready: a SYNCING one has recovered all there is, as its living process says; any
 *	other says that it is ONLINE: it has stopped what it did and can begin to sync
 * @wish: enum mgr_wish
 * @admit: result: the process that is heard now is given this state
 * @anew: result: a SYNCING one recovers from the beginning, whatever it has reached:
 *	the process that it recovered from is another one now, which serves also what
 *	that one had begun to write
 */
struct mgr_member {
	u32 target;
	u8 state;
	u8 live;
	u8 wish;
	bool ready;
	bool admit;
	bool anew;
};

int mgr_target_row(u8 state, u8 live, u8 holds);
void mgr_chain_sort(struct mgr_member *m, unsigned int nr);
bool mgr_chain_next(struct mgr_member *m, unsigned int *nr);

#endif /* FLINT_MGR_CHAINSTATE_H */
