#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# timeout: 300
#
# flint du, quota, trash and fs rmtree against a running cluster, and what they leave across a restart
# of the metadata server.
. "$(dirname "$0")/cluster.bash"

up() { "$BIN/flint" up "$D" --no-rdma --listen=127.0.0.1 --base-port=$PORT --size=200M --time-scale=2; }
is() { [ "$1" = "$2" ] || { echo "'$1' is not '$2'"; return 1; }; }

up >"$W/out" 2>&1 || { echo "Bail out! no cluster"; exit 1; }
# Something to look at: a tree of files that chaos leaves behind.
fstest chaos 2 "$W/man" >"$W/out" 2>&1
TOP=/$(awk '{print $1}' "$W/man" | grep -o 'chaos-[0-9a-f]*' | head -1)
files=$(field 'd[0]["files"]' du default:/)
bytes=$(field 'd[0]["bytes"]' du default:/)

# The tree that fstest leaves has a directory whose name is no UTF-8.
quota_of_bytes()
{
	local dir
	dir=$(fl trash ls default:/ | grep -ao ' /meta-[0-9a-f]*' | head -1 | cut -d/ -f2)
	fl quota set "default:/$dir/"$'\xc3\xbc \x01\xff' --hard 1G --json | python3 -m json.tool &&
		is "$(field 'any("\ufffd" in q["name"] for q in d)' quota ls default:/)" True &&
		is "$(field '"\ufffd" in d[0]["path"]' du "default:/$dir/"$'\xc3\xbc \x01\xff')" True
}

ok "du has something to tell" test "$files" -gt 4
ok "totals agree with a walk" fl quota check default:/
ok "a user is charged" is "$(field '[q["space"] for q in d if q["kind"] == "user" and q["id"] == 0][0] >= '"$bytes" quota ls default:/)" True
ok "a soft limit above the hard one is refused" says "must not be above" fl quota set default:/ --soft 2G --hard 1G
ok "quota set" fl quota set default:/ --hard 1G --inodes-hard 100000 --grace 1d
ok "quota get" is "$(field 'd["space_hard"]' quota get default:/)" 1073741824
ok "quota ls tells the path" says " / " fl quota ls default:/
ok "what is not there is named" says "No such file" fl du default:/none
ok "a place that is none is named" says "not on a FlintFS mount" fl du /tmp

ok "trash keep" fl trash keep default:/ 1h
ok "rmtree goes into the trash" says "flint trash ls" fl fs rmtree "default:$TOP"
ok "it is out of the totals" is "$(field 'd[0]["files"] < '"$files" du default:/)" True
ok "trash ls" is "$(field 'd[0]["path"]' trash ls "default:$TOP")" "$TOP"
"$BIN/flint" down "$D" >/dev/null 2>&1
up >"$W/out" 2>&1
ok "it is still there after a restart" is "$(field 'len(d)' trash ls "default:$TOP")" 1
# Before 1970: taken modulo 2^64 it was far in the future.
ok "nothing is older than 30000 days" is "$(field 'd["removed"]' trash empty default:/ --older 30000d)" 0
ok "it is still there" is "$(field 'len(d)' trash ls "default:$TOP")" 1
ok "restore elsewhere" fl trash restore "default:$TOP" --to default:/back
ok "the trash has it no more" says "nothing of that name" fl trash restore "default:$TOP"
ok "totals are as before" is "$(field 'd[0]["files"]' du default:/)" "$files"
ok "rmtree --no-trash --wait" fl fs rmtree default:/back --no-trash --wait
ok "nothing is left of it" is "$(field 'd[0]["files"] < '"$files" du default:/)" True
# Names that are taken, in the trash twice, or no text: fstest leaves such.
fstest meta >"$W/out" 2>&1
left=$(fl trash ls default:/ | grep -ac ' /meta-')
ok "JSON lists what is no UTF-8, too" is "$(field 'len(d), any("\ufffd" in e["path"] for e in d)' trash ls default:/)" "$left True"
back=$(fl trash restore default:/ --json 2>"$W/err")
ok "restoring says when something could not be" is "$? $(grep -c 'has that name now' "$W/err")" "1 1"
ok "and restores the others" is "$back, $(fl trash ls default:/ | grep -ac ' /meta-')" \
	"{\"restored\": $((left - 1))}, 1"
ok "quotas of what is no UTF-8 are listed" quota_of_bytes
ok "trash off" fl trash keep default:/ off
ok "totals agree with a walk again" fl quota check default:/
ok "quota rm" fl quota rm default:/
echo "1..$n"
done_testing
