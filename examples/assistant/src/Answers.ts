/** What is answered: the same words for the same question, so that a test knows them. */

const sentences = (question: string): ReadonlyArray<string> => [
  `You asked: ${question}`,
  "This answer comes word by word, as that of a model does.",
  "Each word is a record of a log before it is shown here.",
  "Cut the connection, and the words wait for you.",
  "Kill the gateway, and another one goes on behind the last word that you have.",
  "Kill the worker, and its successor reads what was said, and says the rest.",
  "No word is missing, and none comes twice.",
]

/** The words of the answer, each with the space before it. */
export const wordsOf = (question: string): ReadonlyArray<string> =>
  sentences(question)
    .join(" ")
    .split(" ")
    .map((word, i) => (i === 0 ? word : ` ${word}`))
