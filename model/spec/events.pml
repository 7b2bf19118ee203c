/*
 * Event consumers: owners and zombies of any number. What any of them does to the results topic is one of two things:
 * it appends the outcome of the next seq, or once more that of an earlier one. For they write in the order of their
 * events, have one produce under way, and commit once that is acknowledged.
 */

inline append_result(seq) {
  results[results_end] = seq;
  results_end++;
  handled = more(seq, handled)
}

/* What is in the log is there for good. */
inline publish(what) {
  seqs++;
  kind[seqs] = what;
  newest = (what == EVENT -> seqs : newest);
#if !SLOW_HANDLERS
  append_result(seqs)
#endif
}

proctype EventConsumer() {
end:
  do
  :: atomic { may(HANDLES) && is(1, handled + 1) && SLOW_HANDLERS && handled < seqs && results_end < RESULTS ->
       d_step { append_result(handled + 1); done("result of seq %d\n", handled) } }
  :: atomic { may(HANDLES) && handled > 0 && late_results < LATE_RESULTS && results_end < RESULTS ->
       choose(s, 1, 1, handled);
       d_step {
         if
         :: s <= handled -> append_result(s); late_results++; done("result of seq %d, late or again\n", s)
         :: else -> refuse()
         fi } }
#ifdef NO_RULE_RESULTS_IN_ORDER
  /* Two produces under way, and the second one is first. */
  :: atomic { handled + 1 < seqs && results_end < RESULTS && !skipped ->
       d_step {
         results[results_end] = handled + 2;
         results[results_end + 1] = handled + 1;
         results_end = results_end + 2;
         handled = handled + 2;
         skipped = true } }
#endif
#ifdef NO_RULE_COMMIT_AFTER_PRODUCE
  /* The commit was there before the produce, and the consumer crashed between. */
  :: atomic { handled + 1 < seqs && results_end < RESULTS && !skipped ->
       d_step { handled++; append_result(handled + 1); skipped = true } }
#endif
  od
}
