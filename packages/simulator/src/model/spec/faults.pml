/* What breaks, each as often as its bound says. */

/*
 * The commit may have stood anywhere up to where it may stand now. When it moves makes no difference before somebody
 * begins to read from it, so it moves then.
 */
inline commit_somewhere() {
  choose(s, 2, committed, results_end);
  d_step {
    find_commit(owner);
    if
    :: s <= n -> commit(s)
    :: else -> skip
    fi
  }
}

inline owner_ends() {
#if !ZOMBIES
  end_router(owner)
#else
  skip
#endif
}

inline copy_store(to, from) {
  to.mailbox = from.mailbox;
  to.repeats = from.repeats;
  copy_routes(to.route, from.route);
  to.acked = from.acked;
  to.offset = from.offset
}

#if MAILBOX_ROLLBACKS || defined(REPLAY)
/* The backlog still has what the store lost: the offset rolls back with it. */
inline roll_back() {
#ifdef NO_RULE_OFFSET_WITH_MAILBOXES
  store.mailbox = backup.mailbox;
  store.repeats = backup.repeats;
  copy_routes(store.route, backup.route);
  store.acked = backup.acked;
#else
  copy_store(store, backup);
#endif
  mailbox_rollbacks++;
  mailbox_is_in_order()
}
#endif

#define next_router (owner % ROUTERS + 1)

proctype Faults() {
end:
  do
#ifdef REPLAY
  :: atomic { may(TAKES_OVER) -> d_step { start_router(arg1); done("router %d takes over\n", arg1) } }
  :: atomic { may(RETURNS_OWN) -> d_step { owner = arg1; done("router %d is back\n", arg1) } }
  :: atomic { may(RETURNS_COMMIT) ->
       d_step { owner = arg1; router[arg1].position = committed; done("router %d is back at the commit\n", arg1) } }
  :: atomic { may(CRASHES_POD) ->
       d_step { close(arg1); crashed = crashed | bit(arg1); done("pod %d crashes\n", arg1) } }
#else
  :: atomic { takeovers < TAKEOVERS && results_end > 0 ->
       commit_somewhere();
       d_step {
         takeovers++;
         z = next_router;
         owner_ends();
         start_router(z);
         printf("router %d takes over at %d\n", owner, committed) } }
  :: atomic { returns < RETURNS && takeovers > 0 && router[next_router].runs ->
       commit_somewhere();
       if
       :: owner = next_router
       :: owner = next_router; router[owner].position = committed
       fi;
       d_step { returns++; printf("router %d is back at %d\n", owner, router[owner].position) } }
  :: atomic { crashes < CRASHES && session[1].epoch > 0 && is_alive(1) ->
       d_step { close(1); crashed = crashed | bit(1); crashes++; printf("pod 1 crashes\n") } }
  :: atomic { crashes < CRASHES && session[2].epoch > 0 && is_alive(2) ->
       d_step { close(2); crashed = crashed | bit(2); crashes++; printf("pod 2 crashes\n") } }
#endif
#if MAILBOX_ROLLBACKS || defined(REPLAY)
  :: atomic { may(BACKS_UP_MAILBOX) && mailbox_rollbacks < MAILBOX_ROLLBACKS ->
       d_step { copy_store(backup, store); done("the mailboxes are backed up%d\n", 0) } }
  :: atomic { may(ROLLS_MAILBOX_BACK) && mailbox_rollbacks < MAILBOX_ROLLBACKS && (REPLAYED || store.offset > 0) ->
       d_step { roll_back(); done("the mailboxes roll back%d\n", 0) } }
#endif
#if REGISTRY_ROLLBACKS || defined(REPLAY)
  :: atomic { may(BACKS_UP_REGISTRY) && registry_rollbacks < REGISTRY_ROLLBACKS ->
       d_step {
         registry_backup_epoch = registry_epoch;
         registry_backup_pod = registry_pod;
         done("the registry is backed up%d\n", 0) } }
  :: atomic { may(ROLLS_REGISTRY_BACK) && registry_rollbacks < REGISTRY_ROLLBACKS ->
       d_step {
         write_registry(registry_backup_pod, registry_backup_epoch);
         registry_rollbacks++;
         done("the registry rolls back%d\n", 0) } }
#endif
  :: atomic { may(WIPES_REGISTRY) && registry_wipes < REGISTRY_WIPES && (REPLAYED || registry_epoch > 0) ->
       d_step { write_registry(NOBODY, 0); registry_wipes++; done("the registry is wiped%d\n", 0) } }
  od
}
