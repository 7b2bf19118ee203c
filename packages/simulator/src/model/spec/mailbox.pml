/*
 * The mailbox store and the replay consumers, of any number: a put compares the store's offset with its own, so that
 * the only put that does anything is the next one, whoever makes it.
 */

#ifdef NO_RULE_PUT_AT_OR_BELOW_ACKED
#define may_put(seq) true
#else
#define may_put(seq) ((seq) > store.acked)
#endif

/* What is there is kept: the older. */
#ifdef NO_RULE_PUT_KEEPS_OLDER
#define is_there(seq) false
#else
#define is_there(seq) ((store.mailbox & bit(seq)) != 0 && !(keeps_newer == 1 && kind[seq] == BARRIER))
#endif

inline put(one) {
  if
  :: kind[seq_of(one)] != OTHER && may_put(seq_of(one)) && !is_there(seq_of(one)) ->
    store.mailbox = store.mailbox | bit(seq_of(one));
    store.route[seq_of(one)] = (kind[seq_of(one)] == BARRIER -> what_of(one) : 0);
    store.repeats = (store.repeats & ~bit(seq_of(one))) | (kind[seq_of(one)] == EVENT && what_of(one) == 1 -> bit(seq_of(one)) : 0)
  :: else -> skip
  fi
}
/* Where the mailboxes never roll back, nobody reads again what is before the offset. */
inline take_from_dlq() {
#if MAILBOX_ROLLBACKS
  store.offset++
#else
  x = 0;
  do
  :: x < dlq_end -> dlq[x] = dlq[x + 1]; x++
  :: else -> break
  od;
  dlq_end--
#endif
}

inline put_next() {
  put(dlq[store.offset]);
  take_from_dlq();
  forget_dead_routes();
  mailbox_is_in_order();
  invariant("mailbox: what is not acknowledged yet", (store.mailbox & up_to(store.acked)) == 0)
}

/* Late, and never beyond what a gateway passed on. */
inline trim(seq) {
  store.acked = more(seq, store.acked);
  store.mailbox = above(store.mailbox, store.acked);
  store.repeats = above(store.repeats, store.acked);
  i = 1;
  do
  :: i <= store.acked -> store.route[i] = 0; i++
  :: else -> break
  od;
  forget_dead_routes();
  nothing_is_trimmed_too_early()
}

proctype ReplayConsumer() {
end:
  do
  :: atomic { may(PUTS) && is(1, seq_of(dlq[store.offset])) && store.offset < dlq_end ->
       d_step { keeps_newer = 0; put_next(); done("put: offset %d\n", store.offset) } }
#if NEWER_BARRIERS
  :: atomic { store.offset < dlq_end && kind[seq_of(dlq[store.offset])] == BARRIER ->
       d_step { keeps_newer = 1; put_next(); keeps_newer = 0; printf("put: offset %d, the newer copy\n", store.offset) } }
#endif
  :: atomic { may(TRIMS) && SLOW_TRIMS && (REPLAYED || passed_on > store.acked) ->
       d_step {
         if
         :: at_most(1, passed_on) -> trim(as_told(1, passed_on)); done("the mailbox is trimmed to seq %d\n", store.acked)
         :: else -> refuse()
         fi } }
#ifdef NO_RULE_PUTS_IN_ORDER
  :: atomic { store.offset + 1 < dlq_end ->
       d_step { put(dlq[store.offset + 1]); mailbox_is_in_order() } }
#endif
  od
}
