/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A chain of three targets and the managers (Documentation/chain-states.rst), for
 * spin. The managers' state machine is not modelled: it is mgr/chainstate.c itself,
 * compiled into the verifier, with its table mgr/chainrows.h. Modelled are the
 * facts that it is given and everything around it: heartbeats and their answers
 * that are lost or late, leases, servers that die, return or are cut off, a disk
 * that fails, targets that operators hold back, a change of the managers' leader,
 * maps that come late, writes that pass along the chain, reads, recovery.
 *
 *	data[t]	the set of writes (bits) that the target has
 *	pend[t]	a write it has applied and does not know to be acknowledged
 *	forgot[t]  its recovery has begun and not ended: what clients were answered is not there
 *	seen	writes that were acknowledged to a client, or shown to a reader
 *
 * Checked: whoever serves reads has all that was seen (nothing acknowledged is
 * lost, no replica is stale, there are no two sets that serve without each other);
 * SERVING members never disagree about what a write was made upon, and none serves whose
 * recovery has begun anew; when nothing
 * more can happen, every chain of which a member of the last-serving set is
 * back serves, and everybody who lives serves. Each BUG_ takes one rule away; the
 * model must then fail (tests/native/model.sh).
 */
#ifndef CRASHES
#define CRASHES	2		/* processes that end; they may return */
#endif
#ifndef CUTS
#define CUTS	1		/* servers that do not reach the managers for a time */
#endif
#ifndef FAILS
#define FAILS	0		/* disks */
#endif
#ifndef HOLDS
#define HOLDS	0		/* targets that an operator wants out */
#endif
#ifndef LEADERS
#define LEADERS	1		/* changes of the managers' leader */
#endif
#ifndef SLOW
#define SLOW	0		/* heartbeats take time, not only their answers */
#endif
#ifndef WRITES
#define WRITES	2
#endif

#define N	3
/* As in map.h. */
#define OFFLINE	0
#define WAITING	1
#define SYNCING	2
#define LASTSRV	3
#define SERVING	4
#define LOST	0		/* local states */
#define ONLINE	1
#define UPTODATE 2

c_decl {
\#include "mgr/chainstate.c"
};

/* The managers: replicated ... */
byte ord[N], st[N], ver = 1, minc[N], stver[N], mlocal[N];
bool mup[N], hold[N];
/* ... and known to the leader only: incarnation heard, and whether since the last cause. */
byte mnow[N], mcver[N];
bool mheard[N];

/* Servers. vord, vst: the map that they have. */
bool alive[N], gone[N], cut[N], failed[N], leased[N], forgot[N];
byte inc[N], vver[N], vord[9], vst[9], synced[N], data[N], pend[N];
/* The last order. */
byte ost[N], over[N];
bool oadm[N];
/* A heartbeat and its answer on their way. */
bool hb[N], rp[N], rlease[N], radm[N];
byte hinc[N], hlocal[N], hver[N], rinc[N], rst[N], rver[N];

byte seen, wid, crashes, cuts, fails, holds, leaders;
bool bad;			/* an assertion of the C code */
byte died;			/* bits: those that served when the last of them died */

c_code {
	/* ---- the managers: chains.c and members.c in short ---- */

	static u8 live_now(int t)
	{
		if (!now.mup[t])
			return MGR_LIVE_DOWN;
		if (now.mlocal[t] == LOST)
			return MGR_LIVE_FAILED;
		if (!now.mnow[t])
			return MGR_LIVE_SILENT;
#ifndef BUG_INCARNATION
		if (now.mnow[t] != now.minc[t])
			return MGR_LIVE_RESTARTED;
#endif
#ifdef BUG_PROOF
		return MGR_LIVE_HEARD;
#else
		return now.mheard[t] ? MGR_LIVE_HEARD : MGR_LIVE_SILENT;
#endif
	}

	static bool ready_now(int t)
	{
		if (now.st[t] != SYNCING || (now.mnow[t] && now.mnow[t] != now.minc[t]))
			return now.mlocal[t] == ONLINE;
#if defined(BUG_READY) || defined(BUG_ANEW)
		return now.mlocal[t] == UPTODATE && now.mcver[t] >= now.stver[t];
#else
		return now.mlocal[t] == UPTODATE && now.mcver[t] == now.ver;
#endif
	}

	static void chain_step(void)
	{
		struct mgr_member m[N];
		unsigned int i, nr = N, serving = 0, last = 0;
		bool changed;

		for (i = 0; i < N; i++) {
			int t = now.ord[i];

			m[i] = (struct mgr_member){
				.target = t, .state = now.st[t], .live = live_now(t),
				.wish = now.hold[t] ? MGR_WISH_OFF : MGR_WISH_NONE,
				.ready = ready_now(t),
			};
		}
		changed = mgr_chain_next(m, &nr);
#ifdef BUG_SET
		/* Only the first of those that served last is remembered. */
		for (i = 1; i < nr; i++)
			if (m[i].state == LASTSRV)
				m[i].state = OFFLINE;
#endif
#ifdef BUG_STALE
		/* Whoever returns to a chain that nobody serves serves it. */
		for (i = 0; i < nr; i++)
			serving += m[i].state == SERVING;
		for (i = 0; i < nr && !serving; i++)
			if (m[i].state == WAITING) {
				m[i].state = SERVING;
				m[i].admit = serving = changed = 1;
			}
		mgr_chain_sort(m, nr);
		serving = 0;
#endif
		now.ver += changed;
		for (i = 0; i < nr; i++) {
			int t = m[i].target;

			now.ord[i] = t;
			if (now.st[t] != m[i].state ||
#ifndef BUG_ANEW
			    m[i].anew ||
#endif
			    (m[i].admit && m[i].state >= SYNCING &&
							m[i].live == MGR_LIVE_RESTARTED))
				now.stver[t] = m[i].state == SYNCING ? now.ver : 0;
			now.st[t] = m[i].state;
			if (m[i].admit)
				now.minc[t] = now.mnow[t];
			if (now.st[t] == SERVING) {
				serving++;
				last = t;
				if (m[i].admit && m[i].live != MGR_LIVE_DOWN)
					now.died = 0;
			}
		}
		/* Whoever is left alone serves, whatever an operator wanted. */
		if (serving == 1)
			now.hold[last] = 0;
	}

	/* A member is gone, or begins anew: whoever is to go on must be heard after this. */
	static void cause(void)
	{
		memset(now.mheard, 0, N);
	}

	static int order_state(int t)
	{
		return now.hold[t] && now.st[t] == SERVING ? OFFLINE : now.st[t];
	}

	/* The leader takes a heartbeat in, and answers when what follows is agreed upon. */
	static void take(int t)
	{
		now.hb[t] = 0;
		if (now.mnow[t] && now.hinc[t] < now.mnow[t])
			goto out;	/* a process that was replaced is not believed */
		if (now.st[t] == SERVING && now.mlocal[t] == UPTODATE && now.hlocal[t] == ONLINE &&
		    now.minc[t] == now.hinc[t]) {
			now.minc[t] = 0;
			cause();
		} else if (now.st[t] == SERVING && now.hinc[t] != now.minc[t] &&
			   now.mnow[t] != now.hinc[t]) {
			cause();
		}
		now.mup[t] = 1;
		now.mnow[t] = now.hinc[t];
		now.mlocal[t] = now.hlocal[t];
		now.mcver[t] = now.hver[t];
		now.mheard[t] = 1;
		chain_step();
		now.rp[t] = 1;
		now.rlease[t] = 1;
		now.rinc[t] = now.hinc[t];
		now.rst[t] = order_state(t);
		now.rver[t] = now.st[t] == SYNCING ? now.ver : 0;
		now.radm[t] = now.minc[t] == now.hinc[t];
out:
		now.hinc[t] = now.hlocal[t] = now.hver[t] = 0;
	}

	/* After T of silence: a lease from any answer has ended by the server's own clock. */
	static int g_silent(int t)
	{
#ifdef BUG_WAIT
		return now.mup[t] && (now.cut[t] || !now.alive[t]);
#else
		return now.mup[t] && (now.cut[t] || !now.alive[t]) && !now.leased[t];
#endif
	}

	static void fell_silent(int t)
	{
		now.mup[t] = 0;
#ifndef BUG_WAIT
		now.rlease[t] = 0;
#endif
		now.hb[t] = now.hinc[t] = now.hlocal[t] = now.hver[t] = 0;
		if (now.st[t] == SERVING)
			cause();
		chain_step();
	}

	/*
	 * All that served are dead: each of them has all that was ever acknowledged,
	 * whatever the managers learn first.
	 */
	static void note_deaths(void)
	{
		int i, all = 0;

		for (i = 0; i < N; i++) {
			if (now.st[i] == SERVING && now.alive[i] && !now.failed[i])
				return;
			all |= (now.st[i] == SERVING) << i;
		}
		if (all)
			now.died = all;
	}

	/* Another manager leads: what only this one knew is lost. */
	static void lead(void)
	{
		now.leaders++;
		memset(now.mnow, 0, N);
		memset(now.mcver, 0, N);
		cause();
	}

	/* chain_spare() */
	static int g_hold(int t)
	{
		int i;

		if (now.holds == HOLDS || now.hold[t] || now.st[t] == LASTSRV)
			return 0;
		for (i = 0; i < N; i++)
			if (i != t && now.st[i] == SERVING && now.mup[i] && !now.hold[i])
				return 1;
		return 0;
	}

	static void hold(int t)
	{
		now.holds++;
		now.hold[t] = 1;
		chain_step();
	}

	/* ---- chunk servers: chain.c in short ---- */

	static int in_map(int t)
	{
		return now.vver[t] ? now.vst[t * N + t] : OFFLINE;
	}

	static int local_state(int t)
	{
		if (now.failed[t])
			return LOST;
		if (now.oadm[t] && now.ost[t] == SERVING)
			return UPTODATE;
		return now.oadm[t] && now.ost[t] == SYNCING && now.synced[t] &&
		       now.synced[t] == now.over[t] ? UPTODATE : ONLINE;
	}

	/* Given to this process, and shown by its map. */
	static int serving_part(int t)
	{
		return now.alive[t] && !now.failed[t] && in_map(t) == SERVING &&
#ifdef BUG_ADMIT
		       true;
#else
		       now.oadm[t] && now.ost[t] == SERVING;
#endif
	}

	static int syncing_part(int t)
	{
		return now.alive[t] && !now.failed[t] && in_map(t) == SYNCING && now.oadm[t] &&
		       (now.ost[t] == SERVING || now.ost[t] == SYNCING);
	}

	static int serves(int t)
	{
#ifdef BUG_FENCE
		return serving_part(t);
#else
		return serving_part(t) && now.leased[t];
#endif
	}

	/* The next of the chain behind t, by t's map; N: none. */
	static int succ(int t)
	{
		int i, seen_me = 0;

		for (i = 0; i < N; i++) {
			int o = now.vord[t * N + i];

			if (seen_me && (now.vst[t * N + o] == SERVING || now.vst[t * N + o] == SYNCING))
				return o;
			seen_me |= o == t;
		}
		return N;
	}

	static int is_head(int t)
	{
		return now.vord[t * N] == t;
	}

	/* A heartbeat is sent when there is something to say or to learn. */
	static int g_beat(int t)
	{
		if (!now.alive[t] || now.cut[t] || now.hb[t] || now.rp[t])
			return 0;
		return !(now.leased[t] && now.mup[t] && now.mnow[t] == now.inc[t] && now.mheard[t] &&
			 now.mlocal[t] == local_state(t) && now.ost[t] == order_state(t) &&
			 (now.st[t] != SYNCING || (now.over[t] == now.ver &&
						   now.mcver[t] == now.over[t])) &&
			 now.oadm[t] == (now.minc[t] == now.inc[t]));
	}

	static void take(int t);

	static void beat(int t)
	{
		now.hb[t] = 1;
		now.hinc[t] = now.inc[t];
		now.hlocal[t] = local_state(t);
		now.hver[t] =
#ifdef BUG_VERSION
			now.ost[t] == SYNCING ? now.vver[t] : 0;
#else
			now.ost[t] == SYNCING ? now.over[t] : 0;
#endif
#if !SLOW
		take(t);
#endif
	}

	/* It may have become one that serves. */
	static void look(int t)
	{
		if (serving_part(t) && now.forgot[t])
			now.bad = 1;
	}

	/* The answer, or its loss. */
	static void answer(int t)
	{
		if (now.alive[t] && !now.cut[t] && now.rinc[t] == now.inc[t]) {
			now.ost[t] = now.rst[t];
			now.oadm[t] = now.radm[t];
			now.over[t] = now.rver[t];
			now.leased[t] = now.rlease[t];
		}
		now.rp[t] = now.rinc[t] = now.rst[t] = now.rver[t] = now.radm[t] = now.rlease[t] = 0;
		look(t);
	}

	static int g_map(int t)
	{
		return now.alive[t] && now.vver[t] != now.ver;
	}

	static void map(int t)
	{
		now.vver[t] = now.ver;
		memcpy(&now.vord[t * N], now.ord, N);
		memcpy(&now.vst[t * N], now.st, N);
		look(t);
	}

	static int g_write(int t)
	{
		return serves(t) && is_head(t) && !now.pend[t] && now.wid < WRITES;
	}

	static void write_new(int t)
	{
		now.pend[t] = 1 << now.wid++;
		now.data[t] |= now.pend[t];
	}

	/* Can t's unacknowledged write go on: to the one behind, or be acknowledged? */
	static int g_forward(int t)
	{
		int x = succ(t);

		if (!serving_part(t) || !now.pend[t])
			return 0;
		if (x == N)
			return 1;
		return now.vver[x] == now.vver[t] && (serving_part(x) || syncing_part(x)) &&
		       (!(now.data[x] & now.pend[t]) || now.pend[x] != now.pend[t]);
	}

	static void forward(int t)
	{
		int x = succ(t), w = now.pend[t];

		if (x < N && !(now.data[x] & w)) {
			/* The same is there that it was made upon, or all is replaced. */
			if (in_map(x) == SERVING && now.data[x] != (now.data[t] & ~w))
				now.bad = 1;
			now.data[x] = now.data[t];
			now.pend[x] = in_map(x) == SERVING ? w : 0;
			return;
		}
		if (x < N && in_map(x) == SERVING && now.data[x] != now.data[t])
			now.bad = 1;
		now.pend[t] = 0;
		if (is_head(t))
			now.seen |= w;
	}

	/* Whoever has others behind shows only what they have, too. */
	static int g_read(int t)
	{
#ifdef BUG_DIRTY
		return serves(t) && (now.seen | now.data[t]) != now.seen ||
		       serves(t) && (now.seen & ~now.data[t]);
#else
		return serves(t) && (!now.pend[t] || succ(t) == N) &&
		       ((now.data[t] & ~now.seen) || (now.seen & ~now.data[t]));
#endif
	}

	static void read_it(int t)
	{
		if (now.seen & ~now.data[t])
			now.bad = 1;
		now.seen |= now.data[t];
	}

	/* One that was recovered in this version of the chain is not told to begin again. */
	static int g_recover(int t)
	{
		int x = succ(t);

		return serving_part(t) && x < N && syncing_part(x) && now.vver[x] == now.vver[t] &&
		       now.synced[x] != now.vver[x];
	}

	static int g_forget(int t)
	{
		return g_recover(t) && !now.forgot[succ(t)];
	}

	static void forget(int t)
	{
		int x = succ(t);

		now.forgot[x] = 1;
		now.synced[x] = 0;
	}

	static int g_sync(int t)
	{
		return g_recover(t) && now.forgot[succ(t)];
	}

	static void sync_it(int t)
	{
		int x = succ(t);

		now.forgot[x] = 0;
		now.data[x] = now.data[t];
		now.synced[x] = now.vver[x];
	}

	static void end(int t)
	{
		now.crashes++;
		now.alive[t] = now.leased[t] = now.cut[t] = now.pend[t] = now.vver[t] = 0;
		now.ost[t] = now.oadm[t] = now.over[t] = now.synced[t] = 0;
		memset(&now.vord[t * N], 0, N);
		memset(&now.vst[t * N], 0, N);
		note_deaths();
	}

	/* ---- what happens to servers ---- */

	static int g_take(int t)	{ return now.hb[t]; }
	static int g_answer(int t)	{ return now.rp[t]; }
	static int g_end(int t)		{ return now.alive[t] && now.crashes < CRASHES; }
	static int g_ended(int t)	{ return !now.alive[t] && !now.gone[t]; }
	static int g_cut(int t)		{ return now.alive[t] && !now.cut[t] && now.cuts < CUTS; }
	static int g_late(int t)	{ return now.cut[t] && now.leased[t]; }
	static int g_heal(int t)	{ return now.cut[t]; }
	static int g_fail(int t)	{ return now.alive[t] && !now.failed[t] && now.fails < FAILS; }
	static void begin(int t)	{ now.alive[t] = 1; now.inc[t]++; }
	static void stay_gone(int t)	{ now.gone[t] = 1; }
	static void late(int t)		{ now.leased[t] = 0; }
	static void heal(int t)		{ now.cut[t] = 0; }

	static void cut_off(int t)
	{
		now.cuts++;
		now.cut[t] = 1;
	}

	static void fail(int t)
	{
		now.fails++;
		now.failed[t] = 1;
		now.pend[t] = 0;
	}

	/* Nothing more can happen: is all well? */
	static int quiet_and_well(void)
	{
		int t, want = 0, serve = 0;

		for (t = 0; t < N; t++) {
			serve += serves(t);
			want += now.alive[t] && !now.failed[t] &&
				(now.st[t] == SERVING || now.st[t] == LASTSRV ||
				 (!SLOW && !CUTS && !FAILS && (now.died & 1 << t)));
		}
		if (want && !serve)
			return 0;
		for (t = 0; t < N && serve; t++)
			if (now.alive[t] && !now.failed[t] && !now.hold[t] && !serves(t))
				return 0;
		return 1;
	}
};

#define EACH(guard, action)						\
	:: atomic { c_expr { (guard)(0) } -> c_code { action(0); }; assert(!bad) }	\
	:: atomic { c_expr { (guard)(1) } -> c_code { action(1); }; assert(!bad) }	\
	:: atomic { c_expr { (guard)(2) } -> c_code { action(2); }; assert(!bad) }

active proctype cluster()
{
	byte i;

	d_step {
		for (i : 0 .. N - 1) {
			ord[i] = i; st[i] = SERVING; inc[i] = 1; minc[i] = 1; mnow[i] = 1;
			mlocal[i] = UPTODATE; mup[i] = true; mheard[i] = true;
			alive[i] = true; leased[i] = true; oadm[i] = true; ost[i] = SERVING;
			vver[i] = 1;
			vst[i * N] = SERVING; vst[i * N + 1] = SERVING; vst[i * N + 2] = SERVING;
			vord[i * N + 1] = 1; vord[i * N + 2] = 2
		}
		i = 0
	}
	do
	EACH(g_take, take)
	EACH(g_silent, fell_silent)
	EACH(g_hold, hold)
	:: atomic { c_expr { now.leaders < LEADERS } -> c_code { lead(); } }
	EACH(g_beat, beat)
	EACH(g_answer, answer)
	EACH(g_map, map)
	EACH(g_write, write_new)
	EACH(g_forward, forward)
	EACH(g_read, read_it)
	EACH(g_forget, forget)
	EACH(g_sync, sync_it)
	EACH(g_end, end)
	EACH(g_ended, begin)
	EACH(g_ended, stay_gone)
	EACH(g_cut, cut_off)
	EACH(g_late, late)
	EACH(g_heal, heal)
	EACH(g_fail, fail)
	:: else -> assert(c_expr { (quiet_and_well)() }); break
	od
}
