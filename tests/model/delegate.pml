/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Delegated creates (Documentation/leases.rst), for spin: a directory whose names
 * are numbered, a holder of its dir-write lease who makes them and tells of them in
 * batches, somebody else who looks, and the server between them. Answers are lost
 * with connections, the leader may change, the holder may lose trust and its
 * session may be ended.
 *
 *	made	names that exist for the holder
 *	known	names that the server has
 *
 * Checked: who looks sees all that was made, and from then on nothing is made
 * without the server, unless the session is over or a leader has just changed, when
 * nothing is leased; no batch is executed twice; none of a live session is refused;
 * every look and every flush ends (no invalid end state). Each BUG_ takes one rule
 * away; the model must then fail (tests/native/model.sh).
 */
#ifndef OPS
#define OPS	3		/* names made */
#endif
#ifndef LEADERS
#define LEADERS	1		/* changes of leader */
#endif

mtype = { BATCH, RET, RECLAIM, DONE, AGAIN, REFUSED };

chan req = [3] of { mtype, byte, byte, byte };	/* from, up to, epoch */
chan rep = [4] of { mtype, byte };
chan rcl = [2] of { byte };			/* recalls: epoch */

byte made, known, epoch = 1, crashes;
bool held = true, recalling, waits, dead;	/* the server's table */
bool deleg = true, trust = true;		/* the holder's */
bool looking, looked;

proctype holder()
{
	byte told, upto, my = 1, e;
	bool flight, giving, sleepy, claimed, again;

end:	do
	:: atomic { deleg && trust && !dead && made < OPS -> made++ }
	/* One batch at a time; a second has passed, or somebody waits for it. */
	:: atomic { !flight && told < made && !dead && !(my != epoch) && nfull(req) ->
		upto = made; flight = true;
		req!BATCH, told, upto, my }
	:: atomic { rep?DONE, e ->
		if :: flight && e == upto -> told = e; flight = false :: else fi }
	:: atomic { rep?AGAIN, e -> if :: flight -> again = true :: else fi }
	:: atomic { again && !dead && nfull(req) -> again = false; req!BATCH, told, upto, my }
	:: atomic { rep?REFUSED, e -> assert(dead); flight = false }
	/* The connection is lost with what is in it; the same batch again. */
	:: atomic { flight && !dead && len(rep) > 0 && !sleepy && nfull(req) ->
		sleepy = true;
		rep?_, _;
		req!BATCH, told, upto, my }
	:: atomic { rcl?e ->
		if
		:: e == my && !dead ->
#ifndef BUG_KEEP
			deleg = false;
#endif
			giving = true
		:: else
		fi }
#ifdef BUG_RETFIRST
	:: atomic { giving && !dead && nfull(req) -> giving = false; req!RET, 0, 0, my }
#else
	:: atomic { giving && told == made && !flight && !dead && nfull(req) ->
		giving = false;
		req!RET, 0, 0, my }
#endif
	:: atomic { trust && !dead -> trust = false }
	:: atomic { !trust && !dead -> trust = true }
	/* Another leader: what has promises is named, all else is dropped. */
	:: atomic { my != epoch && !dead && nfull(req) ->
		my = epoch; giving = false; deleg = false;
#ifdef BUG_RECLAIM
		claimed = false;
#else
		claimed = told < made;
#endif
		req!RECLAIM, claimed, 0, my }
	od
}

proctype server()
{
	byte a, b, e;

end:	do
	:: atomic { req?BATCH, a, b, e ->
		if
		:: dead -> rep!REFUSED, 0
		:: !dead && waits -> rep!AGAIN, 0
		:: !dead && !waits && !held -> rep!REFUSED, 0
#ifdef BUG_ONCE
		:: !dead && !waits && held -> known = known + b - a; rep!DONE, b
#else
		:: !dead && !waits && held ->
			if :: known == a -> known = b :: else fi;
			rep!DONE, b
#endif
		fi;
		assert(known <= made) }
	:: atomic { req?RET, a, b, e ->
		if :: e == epoch && held -> held = false; recalling = false :: else fi }
	:: atomic { req?RECLAIM, a, b, e ->
		if
		:: e == epoch && waits && !dead -> waits = false; held = a
		:: else
		fi }
	:: atomic { looking && held && !recalling && !dead && nfull(rcl) ->
		recalling = true; rcl!epoch }
#ifdef BUG_HIDE
	:: atomic { looking ->
#else
	:: atomic { looking && (!held || dead) ->
#endif
		looking = false;
		if
		:: !dead && !waits ->
			assert(known == made && !deleg);
			looked = true
		:: else		/* nothing is leased to who looks */
		fi }
	:: atomic { (recalling || waits) && !trust && !dead ->
		dead = true; held = false; recalling = false; waits = false }
	:: atomic { crashes < LEADERS ->
		crashes++; epoch++;
		held = false; recalling = false; waits = !dead }
	od
}

proctype looker()
{
	byte n;

	do
	:: n < 2 -> atomic { !looking -> looking = true; n++ }
	:: else -> break
	od;
	!looking
}

/* Seen once, nothing is made without the server any more. */
proctype watch()
{
end:	atomic { looked && deleg && trust && !dead -> assert(false) }
}

init {
	atomic {
		run holder();
		run server();
		run looker();
		run watch()
	}
}
