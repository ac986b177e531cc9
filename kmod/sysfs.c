// SPDX-License-Identifier: GPL-2.0-only
/*
 * /sys/fs/flintfs/<fsid>-<n>/: one value a file. Documentation/ABI/sysfs-fs-flintfs
 * describes each.
 */
#define pr_fmt(fmt) "flintfs: " fmt

#include <linux/kobject.h>
#include <linux/sysfs.h>
#include "flint.h"

static struct kset *flint_kset;

struct flint_attribute {
	struct attribute attr;
	ssize_t (*show)(struct flint_fs *fs, char *buf);
	ssize_t (*store)(struct flint_fs *fs, const char *buf, size_t len);
};

#define FLINT_ATTR_RO(_name)						\
static struct flint_attribute flint_attr_##_name = {			\
	.attr = { .name = #_name, .mode = 0444 },			\
	.show = _name##_show,						\
}

/* "live", "connecting", "refused" or "aborted". Context: process. */
const char *flint_fs_state(struct flint_fs *fs)
{
	const char *state = "connecting";
	struct flint_leader l;

	if (READ_ONCE(fs->shutdown))
		return "aborted";
	if (!flint_leader_get(fs, &l)) {
		if (flint_peer_refused(l.peer))
			state = "refused";
		else if (flint_peer_live(l.peer))
			state = "live";
		flint_leader_put(&l);
	}
	return state;
}

static ssize_t state_show(struct flint_fs *fs, char *buf)
{
	return sysfs_emit(buf, "%s\n", flint_fs_state(fs));
}
FLINT_ATTR_RO(state);

static ssize_t reason_show(struct flint_fs *fs, char *buf)
{
	struct flint_leader l;
	ssize_t len;

	if (flint_leader_get(fs, &l))
		return sysfs_emit(buf, "no metadata server\n");
	len = sysfs_emit(buf, "%s\n", flint_peer_reason(l.peer));
	flint_leader_put(&l);
	return len;
}
FLINT_ATTR_RO(reason);

static ssize_t meta_node_show(struct flint_fs *fs, char *buf)
{
	return sysfs_emit(buf, "%u\n", READ_ONCE(fs->meta_node));
}
FLINT_ATTR_RO(meta_node);

static ssize_t name_show(struct flint_fs *fs, char *buf)
{
	return sysfs_emit(buf, "%s\n", fs->name);
}
FLINT_ATTR_RO(name);

static ssize_t dev_show(struct flint_fs *fs, char *buf)
{
	return sysfs_emit(buf, "%u:%u\n", MAJOR(fs->sb->s_dev), MINOR(fs->sb->s_dev));
}
FLINT_ATTR_RO(dev);

static ssize_t session_epoch_show(struct flint_fs *fs, char *buf)
{
	return sysfs_emit(buf, "%llu\n", fs->session_epoch);
}
FLINT_ATTR_RO(session_epoch);

static ssize_t client_id_show(struct flint_fs *fs, char *buf)
{
	return sysfs_emit(buf, "%16phN\n", fs->client_id);
}
FLINT_ATTR_RO(client_id);

static ssize_t map_epoch_show(struct flint_fs *fs, char *buf)
{
	struct flint_mapref *map = flint_map_get(fs);
	u64 epoch = map ? map->map.epoch : 0;

	flint_map_put(map);
	return sysfs_emit(buf, "%llu\n", epoch);
}
FLINT_ATTR_RO(map_epoch);

static ssize_t inflight_show(struct flint_fs *fs, char *buf)
{
	return sysfs_emit(buf, "%d\n", atomic_read(&fs->inflight));
}
FLINT_ATTR_RO(inflight);

static ssize_t abort_store(struct flint_fs *fs, const char *buf, size_t len)
{
	bool yes;

	if (kstrtobool(buf, &yes) || !yes)
		return -EINVAL;
	flint_fs_abort(fs);
	return len;
}

static struct flint_attribute flint_attr_abort = {
	.attr = { .name = "abort", .mode = 0200 },
	.store = abort_store,
};

static ssize_t abort_requests_store(struct flint_fs *fs, const char *buf, size_t len)
{
	char peer[FLINT_PEER_ADDR_LEN];
	int err;

	if (strscpy(peer, buf, sizeof(peer)) < 0)
		return -EINVAL;
	strim(peer);
	if (!peer[0])
		return -EINVAL;
	err = flint_fs_abort_requests(fs, strcmp(peer, "all") ? peer : NULL);
	return err ? err : len;
}

static struct flint_attribute flint_attr_abort_requests = {
	.attr = { .name = "abort_requests", .mode = 0200 },
	.store = abort_requests_store,
};

static struct attribute *flint_attrs[] = {
	&flint_attr_state.attr,
	&flint_attr_reason.attr,
	&flint_attr_meta_node.attr,
	&flint_attr_name.attr,
	&flint_attr_dev.attr,
	&flint_attr_session_epoch.attr,
	&flint_attr_client_id.attr,
	&flint_attr_map_epoch.attr,
	&flint_attr_inflight.attr,
	&flint_attr_abort.attr,
	&flint_attr_abort_requests.attr,
	NULL
};
ATTRIBUTE_GROUPS(flint);

/* The counters, one file each, named at initialisation. */
static struct attribute flint_stat_attr[FLINT_STAT_NR];
static struct attribute *flint_stat_attrs[FLINT_STAT_NR + 1];

static const struct attribute_group flint_stat_group = {
	.name = "stats",
	.attrs = flint_stat_attrs,
};

static bool flint_attr_is_stat(const struct attribute *attr)
{
	return attr >= flint_stat_attr && attr < flint_stat_attr + FLINT_STAT_NR;
}

static ssize_t flint_sysfs_show(struct kobject *kobj, struct attribute *attr, char *buf)
{
	struct flint_fs *fs = container_of(kobj, struct flint_fs, kobj);
	struct flint_attribute *a;

	if (flint_attr_is_stat(attr))
		return sysfs_emit(buf, "%llu\n", flint_stats_sum(fs, attr - flint_stat_attr));
	a = container_of(attr, struct flint_attribute, attr);
	return a->show ? a->show(fs, buf) : -EIO;
}

static ssize_t flint_sysfs_store(struct kobject *kobj, struct attribute *attr, const char *buf,
				 size_t len)
{
	struct flint_attribute *a;

	if (flint_attr_is_stat(attr))
		return -EIO;
	a = container_of(attr, struct flint_attribute, attr);
	return a->store ? a->store(container_of(kobj, struct flint_fs, kobj), buf, len) : -EIO;
}

static const struct sysfs_ops flint_sysfs_ops = {
	.show	= flint_sysfs_show,
	.store	= flint_sysfs_store,
};

static void flint_kobj_release(struct kobject *kobj)
{
	complete(&container_of(kobj, struct flint_fs, kobj)->kobj_gone);
}

static struct kobj_type flint_ktype = {
	.default_groups	= flint_groups,
	.sysfs_ops	= &flint_sysfs_ops,
	.release	= flint_kobj_release,
};

int flint_sysfs_init(void)
{
	int i;

	for (i = 0; i < FLINT_STAT_NR; i++) {
		flint_stat_attr[i].name = flint_stat_names[i];
		flint_stat_attr[i].mode = 0444;
		flint_stat_attrs[i] = &flint_stat_attr[i];
	}
	flint_kset = kset_create_and_add("flintfs", NULL, fs_kobj);
	return flint_kset ? 0 : -ENOMEM;
}

void flint_sysfs_exit(void)
{
	kset_unregister(flint_kset);
}

int flint_sysfs_add(struct flint_fs *fs)
{
	int err;

	init_completion(&fs->kobj_gone);
	fs->kobj.kset = flint_kset;
	err = kobject_init_and_add(&fs->kobj, &flint_ktype, NULL, "%u-%u", fs->fsid,
				   fs->instance);
	if (!err)
		err = sysfs_create_group(&fs->kobj, &flint_stat_group);
	if (err) {
		kobject_put(&fs->kobj);
		wait_for_completion(&fs->kobj_gone);
		return err;
	}
	fs->kobj_added = true;
	return 0;
}

/* Readers are through when this returns. */
void flint_sysfs_del(struct flint_fs *fs)
{
	if (!fs->kobj_added)
		return;
	fs->kobj_added = false;
	kobject_del(&fs->kobj);
	kobject_put(&fs->kobj);
	wait_for_completion(&fs->kobj_gone);
}
