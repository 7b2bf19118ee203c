/* The registry: the newest session that it knows. What stands there besides, nothing here depends on. */

/* Whether a write of this session changes nothing and says so: a lower epoch, or an equal one of another pod. */
#ifdef NO_RULE_EPOCH_NOT_BELOW_STORED
#define is_superseded(p, e) false
#else
#ifdef NO_RULE_LAST_TO_CONNECT_WINS
#define is_superseded(p, e) ((e) < registry_epoch)
#else
#define is_superseded(p, e) ((e) < registry_epoch || ((e) == registry_epoch && (p) != registry_pod))
#endif
#endif

inline write_registry(at, to) {
  registry_epoch = to;
  registry_pod = at
}

/* Epochs: max(stored + 1, the clock). */
#ifdef NO_RULE_EPOCH_FROM_CLOCK
#define stored_or_clock() (registry_epoch + 1)
#else
#define stored_or_clock() more(registry_epoch + 1, clock)
#endif
/* Those of a pod only grow. A session keeps its epoch when it is closed: so it is the highest that the pod had. */
#ifdef NO_RULE_EPOCHS_OF_A_POD_GROW
#define new_epoch(p) stored_or_clock()
#else
#define new_epoch(p) more(stored_or_clock(), session[p].epoch + 1)
#endif
