import FreshetCore
import FreshetModel
import Testing

@Suite struct SchemaTests {
  @Test func theMovieLensModelIsValid() throws { try ModelSpec.movieLens.validate() }
}
