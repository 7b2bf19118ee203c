/* Result consumers, "routers": the owner of the partition, and those who have not noticed that they are not. */

#define undone(r) (router[r].inflight | router[r].shelf | router[r].produce)

#define is_expected(r) (router[r].position == router[r].expected)

#ifdef NO_RULE_SEEN
#define is_repeat(r, seq) false
#else
#define is_repeat(r, seq) ((seq) <= router[r].seen && is_expected(r))
#endif

/* To divert: write what is in flight to the dlq, in order, and forget the route. */
inline divert(r) {
  router[r].shelf = router[r].shelf | router[r].inflight;
  router[r].inflight = 0;
  router[r].pod = NOBODY;
  router[r].prev = 0
}

inline shelve(r, seq) {
  router[r].shelf = router[r].shelf | bit(seq)
}

inline push(r, seq) {
  a_push_states_a_fact(router[r].prev, seq);
  pushed[push_at(router[r].pod, seq)] = router[r].prev + 1;
  highest_pushed[router[r].pod] = more(seq, highest_pushed[router[r].pod]);
  router[r].inflight = router[r].inflight | bit(seq);
  router[r].prev = seq
}

inline route(r, seq) {
#ifdef NO_RULE_DIVERT_ON_BARRIER
  router[r].inflight = 0;
#else
  divert(r);
#endif
  shelve(r, seq);
  router[r].pod = barrier_pod[seq];
#ifdef NO_RULE_ROUTE_STARTS_AT_BARRIER
  router[r].prev = 0
#else
  router[r].prev = seq
#endif
}

/* Memory belongs to the read position: it is emptied where a read starts anywhere but at the next offset. */
inline forget(r) {
  router[r].seen = 0;
  router[r].pod = NOBODY;
  router[r].prev = 0;
  router[r].inflight = 0;
  router[r].shelf = 0;
  router[r].produce = 0;
  router[r].written = false
}

inline check_position(r) {
#ifdef NO_RULE_OWN_POSITION
  skip
#else
  if
  :: router[r].position != router[r].expected -> forget(r); router[r].began = router[r].position
  :: else -> skip
  fi
#endif
}

/* On a record: 1. a repeat, 2. a result with a route, 3. one without, 4. a barrier. */
inline on_record(r, seq) {
  check_position(r);
  if
  :: is_repeat(r, seq) -> skip
  :: else ->
    router[r].seen = more(seq, router[r].seen);
    if
    :: kind[seq] == BARRIER -> route(r, seq)
    :: kind[seq] == EVENT && router[r].pod != NOBODY -> push(r, seq)
    :: else ->
#ifdef NO_RULE_SHELVE_WITHOUT_ROUTE
      skip
#else
      shelve(r, seq)
#endif
    fi
  fi;
  router[r].position++;
  router[r].expected = router[r].position
}

/* Acks are cumulative; here an ack is heard one record at a time. */
inline on_ack(r, seq) {
  router[r].inflight = above(router[r].inflight, seq)
}

inline append_to_dlq(seq) {
  dlq[dlq_end] = seq;
  dlq_end++;
  shelved = shelved | bit(seq);
  dlq_is_in_order()
}

/* Appends all of the set, in order. */
inline append_all(these) {
  y = 1;
  do
  :: y <= seqs && (these & bit(y)) != 0 -> append_to_dlq(y); y++
  :: y <= seqs && (these & bit(y)) == 0 -> y++
  :: else -> break
  od
}

#ifdef NO_RULE_COMMIT_WAITS
#define is_undone(r, seq) false
#else
#define is_undone(r, seq) ((undone(r) & up_to(seq)) != 0)
#endif

/*
 * The commit: the offset of the record with the highest seq such that it and all before it are done. `y`, whether there
 * is one that is not above `most`, and `x`, which. Records are read in the order of seqs once repeats are dropped.
 */
inline find_commit(r, most) {
  x = router[r].began;
  y = 0;
  z = 0;
  n = 0;
  do
  :: x < router[r].expected && x <= most ->
    if
    :: results[x] > z && !is_undone(r, results[x]) -> z = results[x]; y = 1; n = x
    :: results[x] > z && is_undone(r, results[x]) -> break
    :: else -> skip
    fi;
    x++
  :: else -> break
  od
}
#ifdef NO_RULE_COMMIT_ONE_SHORT
#define commit_at(offset) ((offset) + 1)
#else
#define commit_at(offset) (offset)
#endif

inline commit(offset) {
  committed = commit_at(offset);
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
#define said_so(r, seq) (arg3 == (!is_repeat(r, seq) && kind[seq] == EVENT && router[r].pod != NOBODY && is_expected(r)))
#define is_front(r) is_front_of(router[r].shelf, arg2)
inline take_shelf(r) {
  router[r].produce = arg2;
  router[r].written = false;
  router[r].taken = router[r].taken | arg2;
  router[r].shelf = router[r].shelf & ~arg2
}
#else
#define said_so(r, seq) true
#define is_front(r) true
#define may_append(r) ((!router[r].written || retries < RETRIES) && dlq_end + 3 < DLQ)
#ifdef NO_RULE_PRODUCE_ACKNOWLEDGED
#define is_written(r) true
#else
#define is_written(r) router[r].written
#endif
inline take_shelf(r) {
  router[r].produce = router[r].shelf;
  router[r].shelf = 0
}
#endif

proctype Router(byte r) {
end:
  do
  :: atomic { may(READS) && is(1, r) && router[r].runs && router[r].position < results_end ->
       d_step {
         if
         :: is(2, results[router[r].position]) && said_so(r, results[router[r].position]) ->
           on_record(r, results[router[r].position]);
           done2("router %d reads seq %d\n", r, results[router[r].position - 1])
         :: else -> refuse()
         fi } }
  /* A nack, a push that nobody received, an ack time-out, a bound: at any time. */
  :: atomic { may_quietly(DIVERTS) && is(1, r) && router[r].runs && router[r].pod != NOBODY ->
       d_step { divert(r); done_quietly("router %d diverts\n", r) } }
#ifndef REPLAY
  :: atomic { router[r].runs && (router[r].inflight & up_to(passed_on)) != 0 ->
       d_step {
         set = router[r].inflight;
         lowest(set, z);
         on_ack(r, z);
         printf("router %d hears that seq %d is acknowledged\n", r, z) } }
#endif
#if SPLIT_PRODUCE
  :: atomic { may(TAKES_SHELF) && is(1, r) && router[r].shelf != 0 && router[r].produce == 0 ->
       d_step {
         if
         :: is_front(r) ->
           take_shelf(r);
           done("router %d sends a produce to the dlq\n", r)
         :: else -> refuse()
         fi } }
#ifndef REPLAY
  :: atomic { router[r].produce != 0 && may_append(r) ->
       d_step {
         append_all(router[r].produce);
         retries = retries + router[r].written;
         router[r].written = true;
         printf("router %d: the dlq takes its produce\n", r) } }
  :: atomic { router[r].produce != 0 && is_written(r) ->
       d_step {
         router[r].produce = 0;
         router[r].written = false;
         printf("router %d hears that its produce is in the dlq\n", r) } }
#endif
#else
  :: atomic { router[r].shelf != 0 && dlq_end < DLQ ->
#ifdef NO_RULE_DIVERT_IN_ORDER
       choose(s, 2, 1, seqs);
#endif
       d_step {
         set = router[r].shelf;
         lowest(set, y);
#ifdef NO_RULE_DIVERT_IN_ORDER
         y = ((set & bit(s)) != 0 -> s : y);
#endif
         append_to_dlq(y);
         router[r].shelf = router[r].shelf & ~bit(y);
         printf("router %d: the dlq has seq %d\n", r, y) } }
#endif
#ifdef REPLAY
  /* Any produce of its own may come late, or again; only for the one under way it matters that it is confirmed. */
  :: atomic { may(APPENDS) && is(1, r) && (arg2 & ~router[r].taken) == 0 ->
       d_step {
         set = arg2;
         append_all(set);
         router[r].written = (router[r].written || router[r].produce == arg2);
         done("router %d: the dlq takes a produce\n", r) } }
  :: atomic { may(CONFIRMED) && is(1, r) && (router[r].produce != arg2 || router[r].written) ->
       d_step {
         router[r].produce = (router[r].produce == arg2 -> 0 : router[r].produce);
         done("router %d hears that a produce is in the dlq\n", r) } }
  :: atomic { may(HEARS) && is(1, r) && arg2 <= passed_on ->
       d_step { on_ack(r, arg2); done("router %d hears an ack\n", r) } }
  :: atomic { may(COMMITS) && is(1, r) && owner == r ->
       d_step {
         /* Told late, it may have moved on meanwhile. */
         find_commit(r, arg2);
         if
         :: y && is(2, n) -> commit(n); done2("router %d commits %d\n", r, n)
         :: else -> refuse()
         fi } }
#endif
  od
}
