/*
 * Event consumers: owners and zombies. Of each client they write what became of its records in its order, barriers
 * included; of two clients in any order. They have one produce request under way, and commit what is acknowledged.
 *
 * Where a mix has no OWNERS, all that any number of them does to the results topic is one of two things: to append the
 * outcome of a client's next record, or once more that of an earlier one. Where it has, their requests and commits are
 * there, and this is shown: `results_are_in_order`.
 */
#define of_client(these) ((these) & ~theirs)
#define of_other(these) ((these) & theirs)
#define unhandled() (all_seqs() & ~handled)

#ifdef REPLAY
#define is_repeat_of_a_result(seq) 0
#else
#define is_repeat_of_a_result(seq) (kind[seq] == EVENT && (handled & bit(seq)) != 0)
#endif
inline append_result(seq) {
  results_are_in_order(seq);
  results[results_end] = record(seq, is_repeat_of_a_result(seq));
  results_end++;
  handled = handled | bit(seq)
}

inline append_results(these) {
  x = 1;
  do
  :: x <= seqs ->
    if
    :: ((these) & bit(x)) != 0 -> append_result(x)
    :: else -> skip
    fi;
    x++
  :: else -> break
  od
}

/* What is in the log is there for good. */
inline publish(what) {
  seqs++;
  kind[seqs] = what;
  newest = (what == EVENT -> seqs : newest);
  theirs = theirs | (what == OTHER -> bit(seqs) : 0);
#if !SLOW_HANDLERS && !OWNERS
  append_result(seqs)
#endif
}

#if OWNERS
#define unfinished(e) (all_seqs() & ~consumer[e].finished)

inline send(e, these) {
  consumer[e].request = (these);
  consumer[e].written = false;
  printf("event consumer %d sends the results %x\n", e, consumer[e].request)
}

/* What a commit with its metadata may name. */
#ifdef NO_RULE_FINISHED_IS_ACKNOWLEDGED
#define to_commit(e) (consumer[e].finished | consumer[e].request)
#else
#define to_commit(e) consumer[e].finished
#endif

/*
 * A new owner begins with what the commit named when it was written, and the metadata may be lost, or cut off at the top: of
 * either client it is what was finished up to some seq. When the commit was written makes no difference before somebody
 * begins with it.
 */
inline start_consumer(of_client_up_to, of_other_up_to) {
  set = (of_client(to_commit(events_owner)) & up_to(of_client_up_to)) | (of_other(to_commit(events_owner)) & up_to(of_other_up_to));
#ifdef NO_RULE_COMMIT_LOWEST_UNFINISHED
  x = seqs;
  do
  :: x > 0 && (set & bit(x)) == 0 -> x--
  :: else -> break
  od;
  set = up_to(x) & ~1;
#endif
  invariant("nothing is lost: what the events' commit names is in the results topic", (set & ~handled) == 0);
  events_owner++;
  consumer[events_owner].finished = set
}

#define may_write(e) (!consumer[e].written || late_results < LATE_RESULTS)

proctype EventConsumer(byte e) {
end:
  do
  :: atomic { e <= events_owner && consumer[e].request == 0 && of_client(unfinished(e)) != 0 ->
       choose(s, 1, 1, seqs);
       d_step { send(e, of_client(unfinished(e)) & up_to(s)) } }
  :: atomic { e <= events_owner && consumer[e].request == 0 && of_other(unfinished(e)) != 0 ->
       choose(s, 1, 1, seqs);
       d_step { send(e, of_other(unfinished(e)) & up_to(s)) } }
  :: atomic { e <= events_owner && consumer[e].request == 0 && unfinished(e) != 0 ->
       choose(s, 1, 1, seqs);
       d_step { send(e, unfinished(e) & up_to(s)) } }
  /* It arrives, or again, and as late as you like. */
  :: atomic { consumer[e].request != 0 && may_write(e) && results_end + seqs <= RESULTS_LIMIT ->
       d_step {
         late_results = late_results + consumer[e].written;
         append_results(consumer[e].request);
         consumer[e].written = true;
         printf("event consumer %d: the results topic takes its request\n", e) } }
  :: atomic { consumer[e].request != 0 && consumer[e].written ->
       d_step {
         consumer[e].finished = consumer[e].finished | consumer[e].request;
         consumer[e].request = 0;
         consumer[e].written = false;
         printf("event consumer %d hears that its request is in the results topic\n", e) } }
  :: atomic { e == events_owner && events_owner < OWNERS && (consumer[e].finished | consumer[e].request) != 0 ->
       choose(s, 1, 0, seqs);
#if OTHERS
       choose(m, 1, 0, seqs);
#endif
       d_step {
         start_consumer(s, m);
         printf("event consumer %d takes over, finished %x\n", events_owner, consumer[events_owner].finished) } }
#ifdef NO_RULE_ONE_REQUEST
  /* Two produce requests of one owner are under way, and the second one is first. */
  :: atomic { e == events_owner && consumer[e].request != 0 && !consumer[e].written && results_end + seqs <= RESULTS_LIMIT ->
       d_step { set = unfinished(e) & ~consumer[e].request; append_results(set); consumer[e].finished = consumer[e].finished | set } }
#endif
#ifdef NO_RULE_ORDER_OF_CLIENT
  /* Its last event is handled before an earlier one. */
  :: atomic { e == events_owner && consumer[e].request == 0 && newest > 0 && (of_client(unfinished(e)) & below(newest)) != 0 && (unfinished(e) & bit(newest)) != 0 ->
       d_step { send(e, bit(newest)) } }
#endif
#ifdef NO_RULE_BARRIERS_WAIT
  /* A barrier passes by an event that is still being handled. */
  :: atomic { e == events_owner && consumer[e].request == 0 && seqs > 0 && kind[seqs] == BARRIER && (unfinished(e) & bit(seqs)) != 0 ->
       d_step { send(e, bit(seqs)) } }
#endif
  od
}
#else
proctype EventConsumer(byte e) {
end:
  do
  :: atomic { may(HANDLES) && SLOW_HANDLERS && of_client(unhandled()) != 0 && results_end < RESULTS ->
       d_step {
         set = of_client(unhandled());
         lowest(set, y);
         if
         :: is(1, y) -> append_result(y); done("result of seq %d\n", y)
         :: else -> refuse()
         fi } }
  :: atomic { SLOW_HANDLERS && of_other(unhandled()) != 0 && results_end < RESULTS ->
       d_step { set = of_other(unhandled()); lowest(set, y); append_result(y); printf("result of seq %d\n", y) } }
  :: atomic { may(HANDLES) && handled != 0 && late_results < LATE_RESULTS && results_end < RESULTS ->
       choose(s, 1, 1, seqs);
       d_step {
         if
         :: (handled & bit(s)) != 0 -> append_result(s); late_results++; done("result of seq %d, late or again\n", s)
         :: else -> refuse()
         fi } }
#ifdef NO_RULE_ONE_REQUEST
  /* Two produce requests are under way, and the second one is first. */
  :: atomic { handled == 0 && seqs == 2 && !skipped ->
       d_step { append_result(2); append_result(1); skipped = true } }
#endif
  od
}
#endif
