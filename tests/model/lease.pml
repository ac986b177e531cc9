/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Leases between one metadata server and its clients (Documentation/leases.rst),
 * for spin: one file, its contents a number. Clients ask (GET), change (SET) and
 * become sole writer (OWN); replies and recalls overtake each other. A client may
 * lose trust (its clock says that the session lease is nearly over), the server
 * may end the session of one that did, and the leader may change.
 *
 *	truth	the last value that was acknowledged to anybody
 *	ver	what the server knows
 *
 * Checked: what a trusting client answers from memory is the truth; two sessions
 * never hold conflicting leases; every request ends (no invalid end state).
 * Each BUG_ takes one rule away; the model must then fail (tests/native/model.sh).
 */
#ifndef CLIENTS
#define CLIENTS	2
#endif
#ifndef OPS
#define OPS	2		/* requests of each client */
#endif
#ifndef LEADERS
#define LEADERS	1		/* changes of leader */
#endif

#define NONE	0
#define READ	1
#define WRITE	2
#define NOBODY	CLIENTS

mtype = { GET, SET, OWN, RET, RECLAIM };

/* To the server: who, what, number, epoch, kind, value. */
chan req = [8] of { byte, mtype, byte, byte, byte, byte };
/* Replies: value, kind granted, number, epoch. Recalls, which may be earlier or later: number, epoch. */
chan rep[CLIENTS] = [2] of { byte, byte, byte, byte };
chan rcl[CLIENTS] = [2] of { byte, byte };

byte truth, ver, epoch = 1;
bool trust[CLIENTS] = true;
bool dead[CLIENTS];			/* session ended */
byte has[CLIENTS], val[CLIENTS];	/* clients' leases and copies */
bool ok[CLIENTS];			/* the copy counts: no change of our own was sent after it */
byte held[CLIENTS], num[CLIENTS];	/* the server's table */
bool recalling[CLIENTS];
bool waits[CLIENTS];			/* to reclaim */
byte grace;
byte crashes;

/* Does session i hold what a request of w breaks? */
#define HOLDS(i, w, what) \
	(i != w && held[i] != NONE && (what != GET || held[i] == WRITE))
#if CLIENTS == 2
#define BLOCKED(w, what) (HOLDS(0, w, what) || HOLDS(1, w, what))
#else
#define BLOCKED(w, what) (HOLDS(0, w, what) || HOLDS(1, w, what) || HOLDS(2, w, what))
#endif

#ifdef BUG_GRACE
#define MAY_GO true
#else
#define MAY_GO (grace == 0)
#endif

/* Silent for its session lease, and somebody waits for it. */
#ifdef BUG_EXPIRE
#define MAY_END(i) ((recalling[i] || waits[i]) && !dead[i])
#else
#define MAY_END(i) ((recalling[i] || waits[i]) && !dead[i] && !trust[i])
#endif

proctype client(byte c)
{
	byte ops, v, kind, n, e, mine, tomb, my = 1;
	bool asking, sleepy;
	mtype what;

	do
	/* A new request. */
	:: !asking && ops < OPS && trust[c] && !dead[c] ->
		atomic {
			ops++;
			asking = true;
			if
			:: what = GET
			:: what = SET; ok[c] = false
			:: what = OWN
			fi;
			req!c, what, 0, my, 0, 0
		}
	/* A write of the sole writer: acknowledged without the server. */
	:: atomic { has[c] == WRITE && ok[c] && trust[c] && !asking && truth < 3 ->
		truth++;
		val[c] = truth }
	:: atomic { rep[c]?v, kind, n, e ->
		asking = false;
		if
#ifdef BUG_TOMB
		:: kind != NONE && e == my && !dead[c] ->
#else
		:: kind != NONE && e == my && n > tomb && !dead[c] ->
#endif
			has[c] = kind; val[c] = v; mine = n; ok[c] = true
		:: else
		fi }
	:: atomic { rcl[c]?n, e ->
		if
		:: e == my && !dead[c] ->
			if :: n > tomb -> tomb = n :: else fi;
			v = val[c];
			kind = NONE;
			if
			:: has[c] != NONE && mine <= n -> kind = has[c]; has[c] = NONE; ok[c] = false
			:: else
			fi;
			req!c, RET, n, my, kind, v
		:: else
		fi }
	/* The clock: trust ends before the session does, and comes back with an answer. */
	:: atomic { trust[c] && !sleepy -> trust[c] = false; sleepy = true }
	:: atomic { !trust[c] && !dead[c] -> trust[c] = true }
	/* Another leader. */
	:: atomic { my != epoch && !dead[c] && trust[c] ->
		my = epoch; tomb = 0; mine = 0;
		req!c, RECLAIM, 0, my, has[c], val[c] }
	:: atomic { has[c] != NONE && ok[c] && trust[c] && !dead[c] -> assert(val[c] == truth) }
	:: (ops == OPS || dead[c]) && !asking -> goto idle
	:: dead[c] && asking -> goto idle
	od;
idle:
end:	do
	:: atomic { rcl[c]?n, e ->
		if
		:: e == my && !dead[c] ->
			if :: n > tomb -> tomb = n :: else fi;
			v = val[c];
			kind = NONE;
			if
			:: has[c] != NONE && mine <= n -> kind = has[c]; has[c] = NONE; ok[c] = false
			:: else
			fi;
			req!c, RET, n, my, kind, v
		:: else
		fi }
	:: atomic { my != epoch && !dead[c] ->
		my = epoch; tomb = 0; mine = 0;
		req!c, RECLAIM, 0, my, has[c], val[c] }
	:: rep[c]?_, _, _, _
	:: atomic { has[c] != NONE && ok[c] && trust[c] && !dead[c] && val[c] != truth -> assert(false) }
	od
}

inline recall_others(w, what)
{
	i = 0;
	do
	:: i < CLIENTS ->
		if
		:: i != w && held[i] != NONE && (what != GET || held[i] == WRITE) && !recalling[i] ->
			recalling[i] = true;
			rcl[i]!num[i], epoch
		:: else
		fi;
		i++
	:: else -> break
	od
}

inline exclusive()
{
	i = 0;
	do
	:: i < CLIENTS ->
		j = 0;
		do
		:: j < CLIENTS ->
			assert(!(i != j && held[i] == WRITE && held[j] != NONE));
			j++
		:: else -> break
		od;
		i++
	:: else -> break
	od
}

/* Answer @w's @what now: nobody is in the way. */
inline answer(w, what)
{
	if
	:: what == SET -> truth++; ver = truth
	:: else
	fi;
	k = READ;
	if :: what == OWN -> k = WRITE :: else fi;
	b = (k == READ -> BLOCKED(w, GET) : BLOCKED(w, SET));
#ifdef BUG_GRANT
	if :: grace || recalling[w] || retried -> k = NONE :: else fi;
#else
	if :: grace || recalling[w] || b || retried || (pend != NOBODY && pend != w) -> k = NONE
	:: else fi;
#endif
	/* A sole writer keeps what it has. */
	if :: held[w] == WRITE && k == READ -> k = WRITE :: else fi;
	if :: held[w] == WRITE && what != SET -> ver = truth :: else fi;
	if :: k != NONE -> held[w] = k; num[w]++; exclusive() :: else fi;
	rep[w]!ver, k, num[w], epoch
}

inline end_session(w)
{
	dead[w] = true;
#ifndef BUG_SETTLE
	if :: held[w] == WRITE || (waits[w] && has[w] == WRITE) -> ver = truth :: else fi;
#endif
	if :: waits[w] -> waits[w] = false; grace-- :: else fi;
	held[w] = NONE; recalling[w] = false;
	if :: pend == w -> pend = NOBODY :: else fi
}

proctype server()
{
	byte w, n, e, i, j, k, v, kind, pend = NOBODY, pk;
	mtype what, pwhat;
	bool b, retried;

end:	do
	:: atomic { req?w, what, n, e, kind, v ->
		if
		:: dead[w] -> skip
		:: !dead[w] && what == RET ->
			/* What a sole writer flushes is a mutation: it counts under any leader. */
			if :: kind == WRITE && v > ver -> ver = v :: else fi;
			if
			:: e == epoch && held[w] != NONE && num[w] <= n ->
				held[w] = NONE; recalling[w] = false
			:: else
			fi
		:: !dead[w] && what == RECLAIM ->
			if
			:: e == epoch && waits[w] ->
				waits[w] = false; grace--;
				if
				:: kind != NONE -> held[w] = kind; exclusive()
				:: else
				fi;
				if	/* a change has begun to wait for just this */
				:: pend != NOBODY -> recall_others(pend, pwhat)
				:: else
				fi
			:: else
			fi
		:: !dead[w] && what != RET && what != RECLAIM ->
			if
			:: waits[w] -> req!w, what, 1, e, kind, v	/* RECLAIM first */
			:: !waits[w] && pend != NOBODY && what == GET && !BLOCKED(w, GET) && MAY_GO ->
				retried = n;
				answer(w, what)		/* what it is before the change */
			:: !waits[w] && pend != NOBODY &&
			   (what != GET || BLOCKED(w, GET) || !MAY_GO) ->
				req!w, what, n, e, kind, v
			:: !waits[w] && pend == NOBODY ->
				pend = w; pwhat = what; pk = n;
				recall_others(w, what)
			fi
		fi }
	/* What was waited for is gone. */
	:: atomic { pend != NOBODY && !BLOCKED(pend, pwhat) && MAY_GO ->
		w = pend; retried = pk; what = pwhat;
		if
		:: !dead[w] -> answer(w, what)
		:: else
		fi;
		pend = NOBODY }
	/* A session that may be is ended: fenced, the size of what it wrote settled. */
	:: atomic { MAY_END(0) -> w = 0; end_session(w) }
	:: atomic { MAY_END(1) -> w = 1; end_session(w) }
#if CLIENTS > 2
	:: atomic { MAY_END(2) -> w = 2; end_session(w) }
#endif
	/* The leader dies; the next one knows the sessions and what was committed. */
	:: atomic { crashes < LEADERS ->
		crashes++;
		epoch++;
		if
		:: pend != NOBODY && !dead[pend] -> req!pend, pwhat, 1, e, 0, 0
		:: else
		fi;
		pend = NOBODY;
		grace = 0;
		w = 0;
		do
		:: w < CLIENTS ->
			held[w] = NONE; num[w] = 0; recalling[w] = false;
			waits[w] = !dead[w];
			if :: waits[w] -> grace++ :: else fi;
			w++
		:: else -> break
		od }
	od
}

init {
	byte c;

	atomic {
		run server();
		do
		:: c < CLIENTS -> run client(c); c++
		:: else -> break
		od
	}
}
