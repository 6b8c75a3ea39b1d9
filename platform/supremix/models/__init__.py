"""Networks: an encoder by name or by builder, and the heads that stand on its features."""

from supremix.models.encoders import EncoderBuilder as EncoderBuilder
from supremix.models.encoders import EncoderSpec as EncoderSpec
from supremix.models.encoders import UnknownEncoderError as UnknownEncoderError
from supremix.models.encoders import build_encoder as build_encoder
from supremix.models.encoders import encoder_names as encoder_names
from supremix.models.encoders import feature_width as feature_width
from supremix.models.encoders import import_encoders as import_encoders
from supremix.models.heads import BinnedHead as BinnedHead
from supremix.models.heads import ProjectionHead as ProjectionHead
from supremix.models.heads import RegressionHead as RegressionHead
from supremix.models.network import FUSIONS as FUSIONS
from supremix.models.network import Network as Network
