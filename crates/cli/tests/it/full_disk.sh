# full_disk.sh ROOT UID GID, as root of a mount namespace that goes away with it: the vault of the
# laboratory in ROOT on a disk that is too small, then on a larger one; a restore to a small disk.
set -eu
root=$1 uid=$2 gid=$3
soter="$root/soter --plan $root/soter.yaml"
# No function, which would be a process of its own between us and an agent in the background.
as="setpriv --reuid $uid --regid $gid --clear-groups"
[ "$uid" != 0 ] || as=

mkdir "$root/small" "$root/tiny"
mount -t tmpfs -o "size=1m,mode=700,uid=$uid,gid=$gid" tmpfs "$root/small"
cp -a "$root/vault/." "$root/small/"
mount --bind "$root/small" "$root/vault"

$as $soter agent orders >"$root/agent.log" 2>&1 &
agent=$!
trap 'kill $agent 2>/dev/null || true; wait $agent || true' EXIT
tries=0
until grep -q "No space left" "$root/agent.log"; do
    tries=$((tries + 1))
    [ $tries -lt 600 ] || { echo "the agent says nothing of a full disk:"; cat "$root/agent.log"; exit 1; }
    sleep 0.1
done
kill -0 $agent
$as $soter backup orders >"$root/refused" 2>&1 && { echo "a backup without room succeeded"; exit 1; }
grep "No space left" "$root/refused"

mount -o remount,size=200m "$root/small"
$as $soter backup orders

identity=$root/keys/operator-1.key
mount -t tmpfs -o "size=4m,mode=700,uid=$uid,gid=$gid" tmpfs "$root/tiny"
restore() { $as $soter restore --vault "file://$root/vault" --identity "$identity" --target-dir "$1"; }
restore "$root/tiny/data" >"$root/refused" 2>&1 && { echo "a restore without room succeeded"; exit 1; }
cat "$root/refused"
restore "$root/restored"
