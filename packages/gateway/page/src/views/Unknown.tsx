/** An address that names nothing. */
export const Unknown = () => (
  <section class="panel">
    <h1>Nothing is here</h1>
    <p>
      This gateway has no page at <code>{location.pathname}</code>.
    </p>
    <p>
      <a href="/">To the overview</a>
    </p>
  </section>
)
