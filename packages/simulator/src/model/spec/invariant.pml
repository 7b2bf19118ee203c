/* Says which invariant does not hold, and ends the search. */
#define invariant(name, holds)                                                                                         \
  if                                                                                                                   \
  :: (holds) -> skip                                                                                                   \
  :: else -> c_code { puts("violated: " name); fflush(stdout); }; assert(false)                                        \
  fi
