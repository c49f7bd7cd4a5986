"""Chapter 8, generative modelling: what each row must reach, and what can be trained."""

from ragkit.chapters.chapter import Chapter, ChapterRecipe
from ragkit.chapters.rows import checks_in, least, most, none

HERE = "ragkit.chapters.generative"
check = checks_in(HERE)

GENERATIVE = Chapter(
    8,
    "generative",
    "Generative modelling",
    checks=(
        check(
            113, "GAN", "BCEWithLogits", "games.gan",
            most("error"), none("moves of the player who waits"), none("turns without a move"),
        ),
        check(
            114, "Optimal discriminator", "two normals, closed form", "critic.best_discriminator",
            most("V* + log 4"), most("D - D*", 0.05), most("D - ½ where p = q", 0.03), trained=True,
        ),
        check(
            115, "Non-saturating generator", "autograd", "games.non_saturating",
            most("D(G(z))", 2e-3), least("gradient over the saturating one's", 10),
        ),
        check(
            116, "Mode collapse", "planted modes", "ring.mode_collapse",
            none("planted modes miscounted"), most("modes kept by a GAN, seed 1", 1),
            most("variance / the ring's", 0.1), trained=True,
        ),
        check(
            117, "JS and Wasserstein", "closed form; scipy", "distances.js_and_wasserstein",
            most("JS - log 2", 1e-6), most("W - shift", 1e-6), most("W - scipy's"), most("JS - scipy's"),
            most("JS of equals", 0),
        ),
        check(
            118, "WGAN", "W of two normals; the ring", "ring.wasserstein_gan",
            least("correlation with W", 0.95), least("modes, penalty", 8),
            least("good samples, penalty", 0.4), least("modes, clipping", 7), trained=True,
        ),
        check(
            119, "Autoencoder", "PCA", "autoencoders.autoencoder",
            most("linear: error / PCA's", 1.01), most("MLP: error / PCA's", 0.7), trained=True,
        ),
        check(
            120, "Denoising autoencoder", "PSNR by hand; PCA", "autoencoders.denoising",
            most("PSNR off"), least("dB over the noisy digits", 5), least("dB over PCA", 1), trained=True,
        ),
        check(
            121, "VAE, ELBO", "kl_divergence; a linear model; pixels", "vae.bounds",
            most("KL - kl_divergence"), most("IWAE at the posterior - log p(x)"),
            most("ELBO + KL(q‖posterior) - log p(x)"), least("IWAE(500) - ELBO", 0),
            least("ELBO - independent pixels", 4), trained=True,
        ),
        check(
            122, "Reparametrisation", "rsample; closed form", "reparametrised.reparametrisation",
            most("z - rsample"), most("standard errors off", 5),
            least("variance of the score's / ours", 10),
        ),
        check(
            123, "Sample, interpolate", "random codes of an autoencoder", "vae.samples",
            least("nats surer than codes of N(0, I)", 0),
            least("nats surer than codes of the fitted normal", 0), least("entropy of the mean", 2.0),
            trained=True,
        ),
    ),
    recipes=(
        ChapterRecipe(
            "gan", "a GAN or Wasserstein GAN of eight Gaussians on a ring", (113, 115, 116, 118),
            f"{HERE}.ring.Ring",
        ),
        ChapterRecipe(
            "critic", "a discriminator or Wasserstein critic between two normals", (114, 118),
            f"{HERE}.critic.Critic",
        ),
        ChapterRecipe(
            "autoencoder", "digits compressed, or freed from noise", (119, 120),
            f"{HERE}.autoencoders.DigitsAutoencoder",
        ),
        ChapterRecipe(
            "vae", "digits by a variational autoencoder", (121, 122, 123), f"{HERE}.vae.DigitsVae"
        ),
    ),
)  # fmt: skip

CHAPTERS = (GENERATIVE,)
