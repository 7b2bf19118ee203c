/** An address that names nothing. */
export const Unknown = () => (
  <section class="panel">
    <h1>Nothing is here</h1>
    <p>
      <a href="/">To the overview</a>
    </p>
  </section>
)
