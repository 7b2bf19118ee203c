/*
 * What a step may be. While the model is checked: anything. With -DREPLAY a trace is replayed: the only steps are those
 * of the trace, in its order, with its arguments, and what the trace says must be what the rules say. `act` and the
 * arguments are the trace's next action; a step that does it moves the trace on.
 *
 * Many traces are tried in one run, which says "at <trace> <actions done>" whenever a trace moves on.
 */
#ifndef REPLAY

#define REPLAYED false
#define begin() skip
#define may(action) true
#define may_quietly(action) true
#define is(i, value) true
#define at_most(i, value) true
#define as_told(i, value) (value)
#define refuse() skip
#define done(text, value) printf(text, value)
#define done2(text, value, other) printf(text, value, other)
#define done_quietly(text, value) printf(text, value)
inline choose(to, i, from, last) {
  to = from;
  do
  :: to < last -> to++
  :: break
  od;
  skip   /* a loop can't end at a d_step */
}

#else

#define REPLAYED true
#define SENDS 1
#define OTHER_SENDS 2
#define SHOWS 3
#define LOSES_SOCKET 4
#define HANDLES 5
#define READS 6
#define DIVERTS 7
#define TAKES_SHELF 8
#define APPENDS 9
#define CONFIRMED 10
#define HEARS 11
#define COMMITS 12
#define PUTS 13
#define TRIMS 14
#define CONNECTS 15
#define READS_PAGE 16
#define GETS_PAGE 17
#define ENDS_PAGE 18
#define DELIVERS 19
#define PASSES_BARRIER 20
#define HEARS_CLIENT 21
#define PASSES_ON 22
#define IS 23
#define FALLS_BACK 24
#define BARRIER_SENT 25
#define REGISTERS 26
#define CLOSES 27
#define TAKES_OVER 28
#define RETURNS_OWN 29
#define RETURNS_COMMIT 30
#define CRASHES_POD 31
#define BACKS_UP_MAILBOX 32
#define ROLLS_MAILBOX_BACK 33
#define BACKS_UP_REGISTRY 34
#define ROLLS_REGISTRY_BACK 35
#define WIPES_REGISTRY 36
#define OPENS 37
#define TAKES 38

int chosen;      /* which trace */
int cursor;
byte act;
int arg1;
int arg2;
int arg3;

#define may(action) (act == action)
/* A router may divert before it reads; a session may see a gap before it says what it is. */
#define may_quietly(action)                                                                                            \
  (act == action || (action == DIVERTS && act == READS) || (action == FALLS_BACK && act == IS && arg2 == REPLAYING))
#define is(i, value) (arg##i == (value))
#define at_most(i, value) (arg##i <= (value))
#define as_told(i, value) arg##i
/* Nothing changes, so nothing follows. */
#define refuse() skip
#define done(text, value) printf(text, value); c_code { go_on(); }
#define done2(text, value, other) printf(text, value, other); c_code { go_on(); }
#define done_quietly(text, value)                                                                                      \
  printf(text, value);                                                                                                 \
  if                                                                                                                   \
  :: act == DIVERTS || act == FALLS_BACK -> c_code { go_on(); }                                                        \
  :: else -> skip                                                                                                      \
  fi
#define choose(to, i, from, last) to = arg##i

/* A route that the trace names is one of the model, and no other: an id is used once. 0: no barrier. */
#define is_route(name, route)                                                                                          \
  ((name) == 0 -> (route) == 0 : (route) != 0 && route_named[name] == (route_named[name] == 0 -> name_of_route[route] : (route)))
inline name_route(name, route) {
  if
  :: name != 0 -> route_named[name] = route; name_of_route[route] = name
  :: else -> skip
  fi
}

/* Whether `part` is the lowest of `these`. */
#define is_front_of(these, part) (((part) & ~(these)) == 0 && ((these) & ~(part) & filled(part)) == 0)
#define filled(part) filled8(filled8(part) | filled8(part) >> 8)
#define filled8(part) filled4((part) | (part) >> 4)
#define filled4(part) filled2((part) | (part) >> 2)
#define filled2(part) ((part) | (part) >> 1)

c_code {
  /* All actions of all traces, each four numbers, one after another; where each trace begins; how many there are. */
  static int (*actions)[4];
  static int *begins;
  static int traces;

  static void read_traces(void) {
    FILE *file;
    int count, i;
    if (actions) return;
    file = fopen("traces.txt", "r");
    if (!file || fscanf(file, "%d %d", &traces, &count) != 2) { puts("traces.txt can't be read"); exit(2); }
    begins = calloc(traces + 1, sizeof *begins);
    actions = calloc(count + 1, sizeof *actions);
    for (i = 0; i <= traces; i++) if (fscanf(file, "%d", &begins[i]) != 1) exit(2);
    for (i = 0; i < count; i++)
      if (fscanf(file, "%d %d %d %d", &actions[i][0], &actions[i][1], &actions[i][2], &actions[i][3]) != 4) exit(2);
    fclose(file);
  }

  static void go_on(void) {
    int at = begins[now.chosen] + ++now.cursor;
    int *next = actions[at];
    int more = at < begins[now.chosen + 1];
    now.act = more ? next[0] : 0;
    now.arg1 = more ? next[1] : 0;
    now.arg2 = more ? next[2] : 0;
    now.arg3 = more ? next[3] : 0;
    printf("at %d %d\n", now.chosen, now.cursor);
  }
}

inline begin() {
  c_code { read_traces(); };
  chosen = 0;
  do
  :: c_expr { now.chosen + 1 < traces } -> chosen++
  :: break
  od;
  c_code { now.cursor = -1; go_on(); }
}

#endif
