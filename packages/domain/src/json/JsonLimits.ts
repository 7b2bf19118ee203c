/** The defaults of `JsonLimits`, in a file of their own: a page that loads these need not load all other limits. */

/** The defaults. */
export const jsonLimits = { nesting_levels: 128 }
