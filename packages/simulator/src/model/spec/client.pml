/* The client: sends events, reads its socket in order, loses it, comes back. Another one of its partition is away. */

#if OWN_SOCKET
#define unread() above(session[connected].sent, read)
#define has_unread() (connected != NOBODY && unread() != 0)
#else
#define unread() above(received, shown)
#define has_unread() (unread() != 0)
#endif

/* The next result of the socket. That it was shown is remembered; that it was read is acknowledged by and by. */
inline show_result(seq) {
  exactly_once_in_order(seq);
#if OWN_SOCKET
  the_first_counts((session[connected].repeats & bit(seq)) != 0);
#endif
  read = seq;
  shown = more(seq, shown);
#if !REPEATED_PUSHES
  forget_pushes_up_to(seq);
#endif
#if !SLOW_ACKS
  hear_ack(connected, seq)
#endif
}
#if !REPEATED_PUSHES
inline forget_pushes_up_to(seq) {
  i = 1;
  do
  :: i <= ROUTES ->
    j = 0;
    do
    :: j <= seq -> pushed[push_at(i, j)] = 0; j++
    :: else -> break
    od;
    i++
  :: else -> break
  od
}
#endif

proctype Client() {
end:
  do
  :: atomic { may(SENDS) && is(1, seqs + 1) && events < EVENTS ->
       d_step { publish(EVENT); events++; done("client sends seq %d\n", seqs) } }
  :: atomic { may(OTHER_SENDS) && is(1, seqs + 1) && others < OTHERS ->
       d_step { publish(OTHER); others++; done("another client sends seq %d\n", seqs) } }
  :: atomic { may(SHOWS) && has_unread() ->
       d_step {
         set = unread();
         lowest(set, z);
         if
         :: is(1, z) -> show_result(z); done("client shows seq %d\n", z)
         :: else -> refuse()
         fi } }
  :: atomic { may(LOSES_SOCKET) && connected != NOBODY ->
       d_step { lose_socket(); done("client loses its socket%d\n", 0) } }
  od
}
