/** The consumer group whose commits are asked for outside of the pipeline too. */

/**
 * Of the result consumers. What lies below its commit in the results topic is acknowledged or in the dlq topic: from
 * there direct delivery takes over from a mailbox.
 */
export const resultConsumerGroup = "nimbus-result-consumer"
