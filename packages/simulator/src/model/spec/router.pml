/* Result consumers, "routers": the owner of the partition, and those who have not noticed that they are not. */

#define is_expected(r) (router[r].position == router[r].expected)
#define has_route(r) (router[r].pod != NOBODY)

#ifdef NO_RULE_REPEATS
#define is_repeat(r, seq) false
#else
#define is_repeat(r, seq) (has_route(r) && kind[seq] != OTHER && (seq) <= router[r].prev)
#endif

inline set_stage(r, offset, stage, its_route) {
  router[r].at[offset] = (stage) + STAGES * (its_route)
}

/* To divert: write what is in flight to the backlog, in order, and forget the route. */
inline divert(r) {
  move_all(r, INFLIGHT, SHELF);
  end_route(r)
}
inline end_route(r) {
  router[r].pod = NOBODY;
  router[r].route = 0;
  router[r].prev = 0
}
/* From one stage to another. In C, as everything that all parts call: Spin bounds the length of a step, and Peace is one. */
inline move_all(r, from, to) {
  mover = r;
  stage = from;
  next_stage = to;
  c_code { move_stages(); }
}
c_code {
  static void move_stages(void) {
    int at;
    for (at = now.router[mover].began; at < now.router[mover].expected; at++) {
      if (now.router[mover].at[at] % STAGES != stage) continue;
      now.router[mover].at[at] = next_stage == DONE ? 0 : next_stage + now.router[mover].at[at] / STAGES * STAGES;
    }
  }
}
/* `y`: the first offset at this stage, or the next one to be read. */
inline find_first(r, stage) {
  y = router[r].began;
  do
  :: y < router[r].expected && stage_at(r, y) != stage -> y++
  :: else -> break
  od
}

inline push(r, offset) {
  y = seq_of(results[offset]);
  set_stage(r, offset, INFLIGHT, 0);
  pushed[push_at(router[r].route, y)] = record(router[r].prev + 1, what_of(results[offset]));
#ifdef REPLAY
  highest_pushed[router[r].pod] = more(y, highest_pushed[router[r].pod]);
#endif
  router[r].prev = y
}

/*
 * A route id is used once. Here it may be used again when nothing knows of it any more, so that there are fewer; what it
 * pushed nobody takes any more.
 */
inline new_route(r, seq) {
#ifdef REPLAY
  routes_made++;
  n = routes_made;
#else
  forget_dead_routes();
#ifdef NO_RULE_ROUTE_IDS_ARE_USED_ONCE
  /* Named by its barrier. */
  n = seq;
#else
  n = 1;
  do
  :: (alive & bit(n)) != 0 -> n++
  :: else -> break
  od;
#endif
#endif
  pod_of_route[n] = barrier_pod[seq];
  router[r].pod = barrier_pod[seq];
  router[r].route = n;
#ifdef NO_RULE_ROUTE_STARTS_AT_BARRIER
  router[r].prev = 0
#else
  router[r].prev = seq
#endif
}

inline on_barrier(r, offset, seq) {
#ifdef NO_RULE_DIVERT_ON_BARRIER
  move_all(r, INFLIGHT, DONE);
#else
  divert(r);
#endif
  new_route(r, seq);
  set_stage(r, offset, SHELF, router[r].route)
}

c_code {
#ifdef REPLAY
  static void drop_dead_routes(void) {}
#else
  /* What is pushed of a route that nothing knows of any more, nobody takes. Sets `alive`: the routes that are known. */
  static void drop_dead_routes(void) {
    int i, j;
    alive = 0;
    for (i = 1; i <= ROUTERS; i++) {
      alive |= bit(now.router[i].route);
      for (j = now.router[i].began; j < now.router[i].expected; j++) alive |= bit(now.router[i].at[j] / STAGES);
    }
    for (i = 0; i < now.dlq_end; i++) if (now.kind[seq_of(now.dlq[i])] == BARRIER) alive |= bit(what_of(now.dlq[i]));
    for (i = 1; i <= PODS; i++) alive |= bit(now.session[i].route);
    for (i = 1; i <= now.seqs; i++) {
      alive |= bit(now.store.route[i]);
#if MAILBOX_ROLLBACKS
      alive |= bit(now.backup.route[i]);
#endif
#if STALE_PAGES
      for (j = 1; j <= PODS; j++) alive |= bit(now.session[j].page_route[i]);
#endif
    }
#ifdef NO_RULE_LIVE_BY_ONE_PAGE
    for (i = 1; i <= PODS; i++) alive |= bit(now.met[i]);
#endif
#ifdef NO_RULE_ROUTE_IDS
    for (i = 1; i <= ROUTES; i++) if (now.pod_of_route[i] != NOBODY) alive |= bit(i);
#endif
#ifndef NO_RULE_ROUTE_IDS_ARE_USED_ONCE
    for (i = 1; i <= ROUTES; i++) {
      if (alive & bit(i) || now.pod_of_route[i] == NOBODY) continue;
      now.pod_of_route[i] = NOBODY;
      memset(&now.pushed[push_at(i, 0)], 0, sizeof now.pushed[0] * (SEQS + 1));
    }
#endif
  }
#endif
}
inline forget_dead_routes() {
  c_code { drop_dead_routes(); }
}

/* Memory belongs to the read position: it is emptied where a read starts anywhere but at the next offset. */
inline forget(r) {
  move_all(r, INFLIGHT, DONE);
  move_all(r, SHELF, DONE);
  move_all(r, PRODUCE, DONE);
  move_all(r, WRITTEN, DONE);
  end_route(r)
}

inline check_position(r) {
#ifdef NO_RULE_OWN_POSITION
  router[r].began = (router[r].position < router[r].began -> router[r].position : router[r].began)
#else
  if
  :: router[r].position != router[r].expected ->
    forget(r);
    router[r].began = router[r].position;
    router[r].expected = router[r].position
  :: else -> skip
  fi
#endif
}

/* On the next record: 1. a repeat, 2. a result with a route, 3. one without, 4. a barrier. */
inline on_record(r) {
  check_position(r);
  z = seq_of(results[router[r].position]);
  if
  :: is_repeat(r, z) -> skip
  :: else ->
    if
    :: kind[z] == BARRIER -> on_barrier(r, router[r].position, z)
    :: kind[z] == EVENT && has_route(r) -> push(r, router[r].position)
    :: else ->
#ifdef NO_RULE_SPILL_WITHOUT_ROUTE
      skip
#else
      set_stage(r, router[r].position, SHELF, 0)
#endif
    fi
  fi;
  router[r].position++;
  router[r].expected = router[r].position
}

/* Acks are cumulative. */
inline on_ack(r, seq) {
  x = router[r].began;
  do
  :: x < router[r].expected ->
    if
    :: stage_at(r, x) == INFLIGHT && seq_of(results[x]) <= seq -> router[r].at[x] = 0
    :: else -> skip
    fi;
    x++
  :: else -> break
  od
}

/* The record at this offset, as it goes to the backlog. */
#define to_shelve(r, offset) record(seq_of(results[offset]), more(what_of(results[offset]), route_at(r, offset)))

inline append_to_dlq(one) {
  dlq[dlq_end] = one;
  dlq_end++;
  shelved = shelved | bit(seq_of(one));
  dlq_is_in_order()
}

/* The first of the queue for the backlog. `y`: its offset. */
inline shelve_first(r) {
  find_first(r, SHELF);
  rec = to_shelve(r, y);
  append_to_dlq(rec);
  router[r].at[y] = 0
}

inline append_produce(r) {
  y = router[r].began;
  do
  :: y < router[r].expected ->
    if
    :: stage_at(r, y) == PRODUCE || stage_at(r, y) == WRITTEN ->
      rec = to_shelve(r, y);
  append_to_dlq(rec);
      set_stage(r, y, WRITTEN, route_at(r, y))
    :: else -> skip
    fi;
    y++
  :: else -> break
  od
}

/* `n`: the highest that the commit may be, the offset after the last record such that it and all before it are done. */
inline find_commit(r) {
  n = router[r].began;
#ifdef NO_RULE_COMMIT_WAITS
  n = router[r].expected
#else
  do
  :: n < router[r].expected && stage_at(r, n) == DONE -> n++
  :: else -> break
  od
#endif
}

inline commit(offset) {
  committed = offset;
  nothing_is_lost_before(committed)
}

inline end_router(r) {
  forget(r);
  router[r].runs = false;
  router[r].began = 0;
  router[r].expected = 0;
  router[r].position = 0
}

/* A new owner reads from the commit with empty memory. */
inline start_router(r) {
  forget(r);
  router[r].runs = true;
  router[r].began = committed;
  router[r].expected = committed;
  router[r].position = committed;
  owner = r
}

#ifdef REPLAY
/* `set`: the seqs of the produce under way. */
inline find_produce(r) {
  set = 0;
  x = router[r].began;
  do
  :: x < router[r].expected ->
    set = set | (stage_at(r, x) >= PRODUCE -> bit(seq_of(results[x])) : 0);
    x++
  :: else -> break
  od
}
#endif

/* `x`: whether a record is at a stage between these. */
inline is_at(r, from, to) {
  x = router[r].began;
  do
  :: x < router[r].expected && (stage_at(r, x) < from || stage_at(r, x) > to) -> x++
  :: else -> break
  od;
  x = (x < router[r].expected)
}

#ifdef REPLAY
#define said_so(r, seq) (arg3 == (!is_repeat(r, seq) && kind[seq] == EVENT && has_route(r) && is_expected(r)))
#else
#define said_so(r, seq) true
#endif
#ifdef NO_RULE_PRODUCE_ACKNOWLEDGED
#define ACKNOWLEDGED PRODUCE
#else
#define ACKNOWLEDGED WRITTEN
#endif

proctype Router(byte r) {
end:
  do
  :: atomic { may(READS) && is(1, r) && router[r].runs && router[r].position < results_end &&
       is(2, seq_of(results[router[r].position])) ->
       d_step {
         if
         :: said_so(r, seq_of(results[router[r].position])) ->
           on_record(r);
           done2("router %d reads seq %d\n", r, z)
         :: else -> refuse()
         fi } }
  /* A nack, an unreceived push, an ack time-out, a full bound; without anything in flight it only loses the route. */
  :: atomic { may_quietly(DIVERTS) && NACKS && is(1, r) && router[r].runs && has_route(r) ->
       d_step { divert(r); done_quietly("router %d diverts\n", r) } }
#ifdef REPLAY
  /* One produce is under way; of what the trace says it took, one record after another. */
  :: atomic { may(TAKES_SHELF) && is(1, r) ->
       d_step {
         is_at(r, PRODUCE, WRITTEN);
         if
         :: x == 0 -> done("router %d sends a produce to the backlog\n", r)
         :: else -> refuse()
         fi } }
  :: atomic { may(TAKES) && is(1, r) ->
       d_step {
         find_first(r, SHELF);
         if
         :: y < router[r].expected && is(2, seq_of(results[y])) && is_route(arg3, route_at(r, y)) ->
           n = route_at(r, y);
           name_route(arg3, n);
           router[r].taken = router[r].taken | bit(arg2);
           set_stage(r, y, PRODUCE, route_at(r, y));
           done("router %d sends seq %d\n", r)
         :: else -> refuse()
         fi } }
  /* Any produce of its own may come late, or again; only for the one under way it matters that it is confirmed. */
  :: atomic { may(APPENDS) && is(1, r) && (router[r].taken & bit(arg2)) != 0 && (arg3 == 0 || route_named[arg3] != 0) ->
       d_step {
         rec = record(arg2, (arg3 == 0 -> 0 : route_named[arg3]));
         append_to_dlq(rec);
         find_first(r, PRODUCE);
         if
         :: y < router[r].expected && seq_of(results[y]) == arg2 -> set_stage(r, y, WRITTEN, route_at(r, y))
         :: else -> skip
         fi;
         done("router %d: the backlog takes a record\n", r) } }
  :: atomic { may(CONFIRMED) && is(1, r) ->
       d_step {
         find_produce(r);
         is_at(r, PRODUCE, PRODUCE);
         if
         :: set != arg2 -> done("router %d hears of an older produce\n", r)
         :: set == arg2 && x == 0 ->
           move_all(r, WRITTEN, DONE);
           done("router %d hears that its produce is in the backlog\n", r)
         :: else -> refuse()
         fi } }
  :: atomic { may(HEARS) && is(1, r) && arg2 <= passed_on ->
       d_step { on_ack(r, arg2); done("router %d hears an ack\n", r) } }
  :: atomic { may(COMMITS) && is(1, r) && owner == r ->
       d_step {
         /* Told late, it may have moved on meanwhile. */
         find_commit(r);
         if
         :: at_most(2, n) -> n = arg2; commit(n); done2("router %d commits %d\n", r, n)
         :: else -> refuse()
         fi } }
#else
  /* Acks are heard late, or never. */
  :: atomic { router[r].runs && passed_on > 0 ->
       d_step {
         is_at(r, INFLIGHT, INFLIGHT);
         if
         :: x == 1 -> on_ack(r, passed_on); printf("router %d hears ack %d\n", r, passed_on)
         :: else -> skip
         fi } }
#if SPLIT_PRODUCE
  :: atomic { router[r].runs ->
       d_step {
         is_at(r, PRODUCE, WRITTEN);
         if
         :: x == 0 -> move_all(r, SHELF, PRODUCE); printf("router %d sends a produce to the backlog\n", r)
         :: else -> skip
         fi } }
  :: atomic { router[r].runs && dlq_end + 3 < DLQ ->
       d_step {
         is_at(r, PRODUCE, PRODUCE);
         n = x;
         is_at(r, WRITTEN, WRITTEN);
         if
         :: n == 1 || (x == 1 && retries < RETRIES) ->
           retries = retries + x;
           append_produce(r);
           printf("router %d: the backlog takes its produce\n", r)
         :: else -> skip
         fi } }
  :: atomic { router[r].runs ->
       d_step { move_all(r, ACKNOWLEDGED, DONE); printf("router %d hears that its produce is in the backlog\n", r) } }
#else
  :: atomic { router[r].runs && dlq_end < DLQ ->
#ifdef NO_RULE_DIVERT_IN_ORDER
       choose(s, 2, 0, results_end);
       d_step {
         if
         :: s < results_end && stage_at(r, s) == SHELF -> rec = to_shelve(r, s); append_to_dlq(rec); router[r].at[s] = 0
         :: else -> skip
         fi } }
#else
       d_step {
         find_first(r, SHELF);
         if
         :: y < router[r].expected -> shelve_first(r); printf("router %d: the backlog has seq %d\n", r, seq_of(dlq[dlq_end - 1]))
         :: else -> skip
         fi } }
#endif
#endif
#endif
  od
}
